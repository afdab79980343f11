// The shape classes of a stage: what it multiplies and attends to, with sizes rounded so that what was measured
// for one model serves others like it.
import { headWidth, ownedSegment, ownedTensors, parameterSpace } from "../../../core/model/parameters.ts";
import type { Precision, StageSpec } from "../../../core/plan/memory.ts";
import type { AttentionShape } from "../attention.ts";
import type { Gpu } from "../device.ts";
import type { Product } from "../matmul.ts";
import { StageOperations } from "../stage-operations.ts";
import { tuningFor } from "../tuning.ts";

interface Class {
  /** The same for shapes of about the same size. */
  readonly key: string;
  /** Multiplications in a microbatch, forward and backward. */
  readonly cost: number;
}

/** Each with the first of its shapes that the stage has. */
export type ShapeClass =
  | (Class & { readonly kind: "product"; readonly product: Product })
  | (Class & { readonly kind: "attention"; readonly shape: AttentionShape });

/** The classes that training the stage comes by, costliest first. */
export function shapeClasses(gpu: Gpu, spec: StageSpec): ShapeClass[] {
  const classes = new Map<string, ShapeClass>();
  for (const product of productsOf(gpu, spec)) {
    const key = productClass(product, spec.precision);
    const known = classes.get(key);
    const cost = product.M * product.N * product.K + (known?.cost ?? 0);
    classes.set(key, known ? { ...known, cost } : { kind: "product", key, product, cost });
  }
  const shape = attentionShape(spec);
  const cost = (spec.range.last - spec.range.first) * attentionMultiplications(shape);
  const key = attentionClass(shape, spec.precision);
  classes.set(key, { kind: "attention", key, shape, cost });
  return [...classes.values()].sort((a, b) => b.cost - a.cost);
}

/** Of one precision: kernels differ. */
export function productClass({ layout, M, N, K }: Product, precision: Precision): string {
  return `${precision} ${layout} ${[M, N, K].map(rounded).join("x")}`;
}

export function attentionClass({ R, T, H, G, D }: AttentionShape, precision: Precision): string {
  return `${precision} attention ${D}: ${rounded(R)} rows of ${rounded(T)}, ${rounded(H)}/${rounded(G)} heads`;
}

/** Forward multiplies twice, backward five times; the causal mask hides half. */
export const attentionMultiplications = ({ R, T, H, D }: AttentionShape): number => 7 * R * (T / 2) * H * D;

/** The attention of every block of the stage. */
export function attentionShape({ model, microbatch }: StageSpec): AttentionShape {
  const { context: T, heads: H, kvHeads: G } = model;
  return { R: microbatch * T, T, H, G, D: headWidth(model) };
}

/** To a power of two. */
const rounded = (n: number): number => 2 ** Math.round(Math.log2(n));

/** Every product of a microbatch, forward and backward: what a tuning is asked for when the operations are laid out. */
function productsOf(gpu: Gpu, spec: StageSpec): Product[] {
  const space = parameterSpace(spec.model);
  const table = tuningFor(gpu);
  const products: Product[] = [];
  const operations = new StageOperations(spec, {
    segment: ownedSegment(space, spec.range),
    tensors: new Map(ownedTensors(space, spec.range).map((tensor) => [tensor.name, tensor])),
    // Nothing of this is run.
    buffers: new Map(),
    maxBinding: 0,
    tuning: {
      ...table,
      matmul: (product) => {
        products.push(product);
        return table.matmul(product);
      },
    },
  });
  operations.forward(0, true);
  operations.backward(0);
  return products;
}
