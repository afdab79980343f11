// The strategies on real stages: two sites in this process.
import { expect, test } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { decodeSafetensors, encodeSafetensors } from "../../core/formats/safetensors.ts";
import type { StateArray } from "../../core/plan/moves.ts";
import { Random } from "../../core/random.ts";
import type { HeldState } from "../../web/worker/held-state.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { InProcessSites, MemoryBlobs, type SitesOptions } from "../fixtures/in-process-sites.ts";
import { gpu } from "./device.ts";

const random = new Random(5);
/** Text with something to learn: a walk among few values. */
const text = Uint8Array.from({ length: 4000 }, (_, i) => 97 + ((i * 7 + Math.floor(random.unit() * 3)) % 26));
const tokens = { train: text.subarray(0, 3600), valid: text.subarray(3600) };

const start = (config: RunConfig, more: Pick<SitesOptions, "blobs" | "from" | "replicas"> = {}) =>
  InProcessSites.start({ gpu, config, sites: 2, tokens, ...more });

const parametersOf = (sites: InProcessSites) =>
  Promise.all(sites.workers.map(({ stage }) => stage.read("parameters")));

test("one inner step, one fragment, no overlap, rate 1, no momentum: the same as averaging by hand", async () => {
  const byRounds = await start(
    tinyConfig({
      steps: 8,
      strategy: roundsStrategy({ inner: 1, fragments: 1, bits: 32, outerLr: 1, outerMomentum: 0, merge: 0 }),
    }),
  );
  // Sites that never meet before the last step, which is not reached.
  const byHand = await start(
    tinyConfig({ steps: 8, strategy: roundsStrategy({ inner: 100, fragments: 1 }) }),
  );
  for (let step = 1; step < 8; step++) {
    await byRounds.step();
    await byHand.step();
    const [a, b] = await parametersOf(byHand);
    const mean = a!.map((value, i) => (value + b![i]!) / 2);
    for (const { stage } of byHand.workers) stage.write("parameters", mean, stage.segment.start);
    for (const reached of await parametersOf(byRounds)) {
      const off = Math.hypot(...reached.map((value, i) => value - mean[i]!)) / Math.hypot(...mean);
      expect(off).toBeLessThan(1e-5);
    }
  }
  expect(Math.abs((await byRounds.validate()) / (await byHand.validate()) - 1)).toBeLessThan(1e-5);
  byRounds.destroy();
  byHand.destroy();
});

const rounds = roundsStrategy({ inner: 8, fragments: 2, overlap: 2, bits: 4 });
test.each([
  { name: "rounds, between exchanges", at: 7, strategy: rounds },
  { name: "rounds, while an exchange is under way", at: 9, strategy: rounds },
  { name: "sync, with error feedback", at: 7, strategy: { kind: "sync", gradients: "int4" } as const },
])(
  "what was drafted at a step and uploaded long after it goes on to the same bits: $name",
  async ({ at, strategy }) => {
    const config = tinyConfig({ steps: 16, strategy });
    const blobs = new MemoryBlobs();
    const unbroken = await start(config, { blobs });
    await advance(unbroken, at);
    const upload = await unbroken.draft();
    await advance(unbroken, config.steps - at);
    const saved = await upload();
    const stopped = await start(config, { blobs });
    await advance(stopped, at);
    expect(saved).toEqual(await stopped.save());
    const resumed = await start(config, { blobs, from: saved });
    await advance(resumed, config.steps - at);
    expect(await resumed.save()).toEqual(await unbroken.save());
    // All sites end with the same model.
    const [a, b] = await parametersOf(resumed);
    expect(a).toEqual(b);
    for (const sites of [unbroken, stopped, resumed]) sites.destroy();
  },
);

test.each([
  { name: "int4", bits: 4, merge: 0.5, arrays: ["parameters", "m", "v", "anchor", "momentum"] },
  {
    name: "the largest alone",
    bits: 2,
    merge: 0,
    arrays: ["parameters", "m", "v", "anchor", "momentum", "terms"],
  },
  {
    name: "signs alone",
    bits: 1,
    merge: 0,
    arrays: ["parameters", "m", "v", "anchor", "momentum", "terms"],
  },
] as const)("a replica that does not lead its site holds what the lead does: $name", async (exchanged) => {
  const { bits, merge, arrays } = exchanged;
  const strategy = roundsStrategy({ inner: 4, fragments: 2, overlap: 1, bits, merge });
  const config = tinyConfig({ steps: 16, stages: 1, strategy });
  const sites = await start(config, { replicas: 2 });
  // All fragments were exchanged, and one exchange is concluded that has not taken effect.
  await advance(sites, 10);
  const held = new Map<string, HeldState>();
  for (const { name, hold } of sites.workers) held.set(name, await hold());
  const [{ stage }] = sites.workers as [(typeof sites.workers)[number]];
  const { start: first, end } = stage.segment;
  const valuesOf = (worker: string, array: StateArray) => held.get(worker)!.part(array, first, end - first)!;
  for (const array of arrays) {
    const values = valuesOf("site-0", array);
    expect(values.some((value) => value !== 0)).toBe(true);
    expect(valuesOf("site-0-1", array), array).toEqual(values);
  }
  for (const array of ["anchor", "momentum"] as const) {
    expect(valuesOf("site-1-1", array), array).toEqual(valuesOf("site-0", array));
  }
  expect(valuesOf("site-1", "parameters")).not.toEqual(valuesOf("site-0", "parameters"));
  sites.destroy();
});

test("a site that comes back with other values than the rest is given theirs at the next exchange", async () => {
  const config = tinyConfig({ steps: 16, stages: 1, strategy: rounds });
  const blobs = new MemoryBlobs();
  const whole = await start(config, { blobs, replicas: 2 });
  await advance(whole, 5);
  const saved = await whole.save();
  const [right, damaged] = [saved.shards[0]!, saved.shards[1]!];
  const { tensors } = decodeSafetensors(new Uint8Array(await blobs.get(damaged.hash)));
  tensors.get(PART.tensor)!.values[3]! += 0.5;
  const hash = await blobs.put(encodeSafetensors(tensors));
  const from = { ...saved, shards: [right, { ...damaged, hash }] };
  const sites = await start(config, { blobs, from, replicas: 2 });
  await advance(sites, config.steps - 5);
  expect(sites.repaired).toEqual([{ part: PART.name, from: "site-0", to: "site-1" }]);
  const [first, ...others] = await parametersOf(sites);
  for (const other of others) expect(other).toEqual(first);
  whole.destroy();
  sites.destroy();
});

test("sites learn with each other's help, in a fraction of the bytes", async () => {
  const run = async (strategy: RunConfig["strategy"]) => {
    const sites = await start(tinyConfig({ steps: 24, strategy }));
    await advance(sites, 24);
    const loss = await sites.validate();
    sites.destroy();
    return { loss, wideBytes: sites.wideBytes };
  };
  const sync = await run({ kind: "sync", gradients: "f32" });
  const rounds = await run(roundsStrategy({ inner: 8, fragments: 2, overlap: 1, bits: 4 }));
  // The last exchange is in int8.
  expect(sync.wideBytes / rounds.wideBytes).toBeGreaterThan(25);
  expect(rounds.loss).toBeLessThan(sync.loss * 1.15);
});

/** A part of the model, and one of its tensors. */
const PART = { name: "block 1", tensor: "model.layers.1.mlp.down_proj.weight" };

async function advance(sites: InProcessSites, steps: number): Promise<void> {
  for (let step = 0; step < steps; step++) await sites.step();
}
