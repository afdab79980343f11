// The benchmark of single kernels: a product of two square matrices.
import { Random } from "../../core/random.ts";
import type { Contender, MatmulProblem } from "./contender.ts";
import type { ContenderName } from "./names.ts";
import { MATMUL_COUNTED, matmulFlops } from "./flops.ts";
import { productIsWrong } from "./freivalds.ts";
import type { Measurement } from "./result.ts";
import { runRounds, type Entry } from "./rounds.ts";

export async function benchMatmul(
  n: number,
  halves: boolean,
  open: (name: ContenderName) => Promise<Contender>,
  names: readonly ContenderName[],
  rounds: number,
  say: (line: string) => void,
): Promise<Measurement> {
  const random = new Random(n);
  // Of 8 bits: exact in f16.
  const matrix = () => Float32Array.from({ length: n * n }, () => (random.below(257) - 128) / 128);
  const problem: MatmulProblem = { n, halves, a: matrix(), b: matrix() };
  const stored = halves ? ", f16 summed in f32" : "";
  const entries = names.map((name): Entry => ({
    contender: name,
    async prepare() {
      const matmul = await (await open(name)).matmul(problem);
      return {
        check: async () => productIsWrong(problem, await matmul.product()),
        run: (times) => matmul.run(times),
        dispose: () => matmul.dispose(),
      };
    },
  }));
  const rows = await runRounds(entries, rounds, (line) => say(`matmul ${n}${stored}: ${line}`));
  return {
    title: `matmul, ${n} × ${n} × ${n}${stored}`,
    flops: matmulFlops(n),
    counted: MATMUL_COUNTED,
    rows,
  };
}
