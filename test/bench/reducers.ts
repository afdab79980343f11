// The benchmark of the wide reducer: what summing a segment over sites costs their processors, links left out.
// Not here: codecs by themselves (reduce.ts), links (link/).
import type { Plan } from "../../core/plan/plan.ts";
import { CODECS, type Codec } from "../../core/reduce/codec.ts";
import { sumAcrossSites } from "../../core/reduce/sum-across-sites.ts";
import { memoryNetwork } from "../fixtures/memory-network.ts";
import { sampleValues } from "../fixtures/samples.ts";
import type { Reducer } from "./result.ts";

const SITES = [2, 4, 8];
const VALUES = [2 ** 16, 2 ** 18, 2 ** 20];

/** Each case: seconds of one site's processor, all sites in this thread after each other. */
export async function benchReducers(rounds: number, say: (line: string) => void): Promise<Reducer[]> {
  const results: Reducer[] = [];
  for (const codec of CODECS) {
    for (const values of VALUES) {
      for (const sites of SITES) {
        say(`reducer, ${codec}, ${values} values, ${sites} sites`);
        await exchange(codec, values, sites);
        const seconds: number[] = [];
        for (let round = 0; round < rounds; round++) {
          seconds.push((await exchange(codec, values, sites)) / sites);
        }
        results.push({ codec, values, sites, seconds });
      }
    }
  }
  return results;
}

async function exchange(codec: Codec, size: number, sites: number): Promise<number> {
  const names = Array.from({ length: sites }, (_, site) => `site-${site}`);
  const plan: Plan = {
    replicas: names.map((name) => ({
      site: name,
      stages: [{ worker: name, first: 0, last: 1 }],
      microbatches: [],
    })),
    spare: [],
  };
  const segment = { start: 0, end: size };
  const wide = {
    holdings: names.map((worker) => [{ worker, segment }]),
    shares: names.map(() => 1 / names.length),
  };
  const { transport } = memoryNetwork(plan);
  const states = names.map((worker, site) => ({
    worker,
    values: sampleValues("normal", size, site),
    feedback: { terms: new Float32Array(size), sums: new Float32Array(size) },
  }));
  const began = performance.now();
  await Promise.all(
    states.map(({ worker, values, feedback }) =>
      sumAcrossSites(wide, worker, segment, values, { codec, weight: 1, feedback }, transport(worker)),
    ),
  );
  return (performance.now() - began) / 1000;
}
