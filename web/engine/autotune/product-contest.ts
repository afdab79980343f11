// The contest of a class of matrix products.
import { matmul as referenceProduct } from "../../../core/model/reference/matmul.ts";
import { swiglu, swigluBackward } from "../../../core/model/reference/swiglu.ts";
import { inFours, type Precision } from "../../../core/plan/memory.ts";
import { Random } from "../../../core/random.ts";
import { solves, type Problem } from "./attempt.ts";
import { matmulCandidates, type Candidate } from "./candidates.ts";
import { openContest } from "./contest.ts";
import type { Gpu } from "../device.ts";
import { canSplit, matmul, type MatmulVariant, type Product } from "../matmul.ts";
import { multiply } from "../multiply.ts";
import { sumParts } from "../operations.ts";
import { columns, inHalves, sideBySide, uniform, uniformHalf } from "./sample-arrays.ts";
import type { Contest } from "./search.ts";
import { tuningFor } from "../tuning.ts";

type Layout = Product["layout"];

/** Which variants compute what they should, each asked once a layout: all its classes run the same kernels. */
export class ProductChecks {
  readonly precision: Precision;
  readonly #gpu: Gpu;
  readonly #problems = new Map<Layout, Problem<MatmulVariant>>();
  readonly #checks = new Map<string, Promise<boolean>>();

  constructor(gpu: Gpu, precision: Precision) {
    this.precision = precision;
    this.#gpu = gpu;
  }

  passes(layout: Layout, variant: MatmulVariant): Promise<boolean> {
    const key = layout + JSON.stringify(variant);
    const check = this.#checks.get(key) ?? solves(this.#gpu.device, this.#problem(layout), variant);
    this.#checks.set(key, check);
    return check;
  }

  #problem(layout: Layout): Problem<MatmulVariant> {
    const problem = this.#problems.get(layout) ?? PROBLEMS[layout](this.precision);
    this.#problems.set(layout, problem);
    return problem;
  }
}

export function openProductContest(
  gpu: Gpu,
  product: Product,
  checks: ProductChecks,
  candidates: readonly Candidate<MatmulVariant>[] = matmulCandidates(gpu, product, checks.precision),
): Promise<Contest> {
  const table = tuningFor(gpu);
  return openContest(gpu, product, candidates, {
    check: (variant) => checks.passes(product.layout, variant),
    buffers: ({ layout, M, N, K }) => ({
      a: layout === "tn" ? K * inFours(M) : M * inFours(K),
      b: layout === "nt" ? N * K : K * N,
      c: M * inFours(N),
      // What block-backward.ts has for a weight gradient's parts.
      idle: layout === "tn" ? K * Math.min(M, N) : 1,
    }),
    operations: (variant, size, { a, b, c, idle: { buffer } }) => {
      const tuning = { ...table, matmul: () => variant };
      const kind = size.layout === "tn" ? "accumulate" : "store";
      const weights = isWeights(size.layout) ? { ...b, halves: checks.precision === "f16" } : b;
      return multiply(tuning, size, a, weights, { kind, c }, { buffer, offset: 0, size: buffer.size });
    },
    multiplications: ({ M, N, K }) => M * N * K,
    halved,
  });
}

/** At least two of the largest tiles stay along each side. */
const SMALLEST = 256;

function halved(product: Product): Product | null {
  const { M, N, K } = product;
  const longest = Math.max(M, N, K);
  if (longest < 2 * SMALLEST) return null;
  const half = inFours(longest / 2);
  if (K === longest) return { ...product, K: half };
  return N === longest ? { ...product, N: half } : { ...product, M: half };
}

// Along M more than the 256 rows of the tallest tile, along N more than the 128 columns of the widest, and not a
// whole number of any.
const M = 261;
const N = 136;
const K = 44;

/** Of K, where multiply.ts splits it. */
const PARTS = 2;

/** Whether B is weights: of a gradient by them both operands are activations. */
const isWeights = (layout: Layout) => layout !== "tn";

/** Values of A and B: in f16, such as it has, since a variant may round what it multiplies. */
function operands(random: Random, precision: Precision, lengthA: number, lengthB: number) {
  const values = precision === "f16" ? uniformHalf : uniform;
  return [values(random, lengthA), values(random, lengthB)] as const;
}

/** Weights as products find them. */
const stored = (weights: Float64Array, precision: Precision) =>
  precision === "f16" ? inHalves(weights) : weights;

/** The epilogues are those that block.ts, block-backward.ts and head.ts use with the layout. */
const PROBLEMS: Readonly<Record<Layout, (precision: Precision) => Problem<MatmulVariant>>> = {
  nt(precision) {
    const random = new Random(1);
    const [a, b] = operands(random, precision, M * K, N * K);
    const residual = uniform(random, M * N);
    const c = referenceProduct(a, b, { M, N, K, transposeB: true });
    const [gate, up] = [columns(c, N, 0, N / 2), columns(c, N, N / 2, N)];
    const product: Product = { layout: "nt", M, N, K };
    return {
      given: { a, b: stored(b, precision), residual },
      expected: { c, sum: c.map((value, i) => value + residual[i]), hidden: c, act: swiglu(gate, up) },
      operations: (variant, { a, b, c, residual, sum, hidden, act }) => [
        matmul(variant, product, a, b, { kind: "store", c }),
        matmul(variant, product, a, b, { kind: "residual", c: sum, residual }),
        matmul(variant, product, a, b, { kind: "swiglu", c: hidden, act }),
      ],
    };
  },
  nn(precision) {
    const random = new Random(2);
    const [a, b] = operands(random, precision, M * K, K * N);
    const hidden = uniform(random, M * 2 * N);
    const c = referenceProduct(a, b, { M, N, K });
    const [gate, up] = [columns(hidden, 2 * N, 0, N), columns(hidden, 2 * N, N, 2 * N)];
    const { dGate, dUp } = swigluBackward(gate, up, c);
    const product: Product = { layout: "nn", M, N, K };
    return {
      given: { a, b: stored(b, precision), hidden },
      expected: { c, hidden: sideBySide([dGate, dUp], [N, N]), act: swiglu(gate, up) },
      operations: (variant, { a, b, c, hidden, act }) => [
        matmul(variant, product, a, b, { kind: "store", c }),
        matmul(variant, product, a, b, { kind: "swiglu-backward", hidden, act }),
      ],
    };
  },
  tn(precision) {
    const random = new Random(3);
    const [a, b] = operands(random, precision, K * M, K * N);
    const before = uniform(random, M * N);
    const sum = referenceProduct(a, b, { M, N, K, transposeA: true }).map((value, i) => value + before[i]);
    const padding = new Float64Array(K * (inFours(M) - M));
    const product: Product = { layout: "tn", M, N, K };
    return {
      given: {
        a: sideBySide([a, padding], [M, inFours(M) - M]),
        b,
        whole: before,
        added: before,
        parts: new Float64Array(PARTS * M * N),
      },
      expected: { whole: sum, added: sum },
      operations: (variant, { a, b, whole, added, parts }) => [
        matmul(variant, product, a, b, { kind: "accumulate", c: whole }),
        ...(canSplit(variant)
          ? [
              matmul({ ...variant, splits: PARTS }, product, a, b, { kind: "store", c: parts }),
              sumParts(PARTS, M * N, parts, added),
            ]
          : [matmul(variant, product, a, b, { kind: "accumulate", c: added })]),
      ],
    };
  },
};
