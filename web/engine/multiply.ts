// One matrix product as the dispatches it takes on this GPU: usually one; slices of rows, or of K, where one would
// run too long for a system to wait; parts along K, summed after, where the result alone would not fill the GPU.
import { inFours } from "../../core/plan/memory.ts";
import { canSplit, matmul, type Epilogue, type Product } from "./matmul.ts";
import { sumParts } from "./operations.ts";
import type { Binding, Operation, Stretch } from "./program.ts";
import type { Tuning } from "./tuning.ts";

/** Slices start at a multiple of this many rows: then every array's slice starts where a binding may. */
const SLICE_ROWS = 64;

/** `idle`: `size` bytes that nothing uses meanwhile, for the sums of parts; without it a product stays whole. */
export function multiply(
  tuning: Tuning,
  product: Product,
  a: Binding,
  b: Binding,
  epilogue: Epilogue,
  idle?: Stretch,
): Operation[] {
  const slices = Math.ceil((2 * product.M * product.N * product.K) / tuning.longestDispatch);
  if (slices > 1) return sliced(tuning, product, a, b, epilogue, slices);
  const variant = tuning.matmul(product);
  if (idle && epilogue.kind === "accumulate" && canSplit(variant)) {
    const resultSize = product.M * inFours(product.N);
    const splits = Math.min(tuning.splits(product), Math.floor(idle.size / 4 / resultSize));
    if (splits > 1) {
      return [
        matmul({ ...variant, splits }, product, a, b, { kind: "store", c: idle }),
        sumParts(splits, resultSize, idle, epilogue.c),
      ];
    }
  }
  return [matmul(variant, product, a, b, epilogue)];
}

function sliced(
  tuning: Tuning,
  product: Product,
  a: Binding,
  b: Binding,
  epilogue: Epilogue,
  slices: number,
): Operation[] {
  const { layout, M, N, K } = product;
  // Rows of A and C, or, where A is transposed, rows of A and B, which are summed.
  const across = layout === "tn" ? K : M;
  const longest = Math.ceil(across / slices / SLICE_ROWS) * SLICE_ROWS;
  const operations: Operation[] = [];
  for (let first = 0; first < across; first += longest) {
    const rows = Math.min(longest, across - first);
    const part = (binding: Binding, width: number): Binding => {
      const rowBytes = inFours(width) * (binding.halves ? 2 : 4);
      const offset = (binding.offset ?? 0) + first * rowBytes;
      return { ...binding, offset, size: rows * rowBytes };
    };
    const slice = layout === "tn" ? { ...product, K: rows } : { ...product, M: rows };
    const [partA, partB, partEpilogue] =
      layout === "tn"
        ? [part(a, M), part(b, N), first > 0 ? added(epilogue) : epilogue]
        : [part(a, K), b, epilogueOf(epilogue, N, part)];
    operations.push(matmul(tuning.matmul(slice), slice, partA, partB, partEpilogue));
  }
  return operations;
}

/** What the slices after the first do with a product that is a sum over slices. */
function added(epilogue: Epilogue): Epilogue {
  if (epilogue.kind !== "store" && epilogue.kind !== "accumulate") {
    throw new Error(`a sum of slices cannot end in ${epilogue.kind}`);
  }
  return { kind: "accumulate", c: epilogue.c };
}

/** The epilogue for a slice of rows. */
function epilogueOf(
  epilogue: Epilogue,
  N: number,
  part: (binding: Binding, width: number) => Binding,
): Epilogue {
  switch (epilogue.kind) {
    case "store":
    case "accumulate":
      return { ...epilogue, c: part(epilogue.c, N) };
    case "residual":
      return { ...epilogue, c: part(epilogue.c, N), residual: part(epilogue.residual, N) };
    case "swiglu":
      return { ...epilogue, c: part(epilogue.c, N), act: part(epilogue.act, N / 2) };
    case "swiglu-backward":
      return { ...epilogue, hidden: part(epilogue.hidden, 2 * N), act: part(epilogue.act, N) };
  }
}
