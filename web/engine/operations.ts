// Operations: which kernel, bindings and workgroups make up each mathematical operation on buffers.
// Not here: matrix products and attention, which have variants (matmul.ts, attention.ts).
import { inFours, NORM_PARTS } from "../../core/plan/memory.ts";
import type { Binding, Operation } from "./program.ts";

const LANES = 64;
const TILE = 8;
const MAX_GROUPS = 65535;

const groups = (items: number, perGroup: number) => Math.ceil(items / perGroup);

/** More than 65,535 workgroups are laid out in rows. */
export function folded(count: number): [number, number] {
  const x = Math.min(count, MAX_GROUPS);
  return [x, groups(count, x)];
}

/** Workgroups of 64 over `size` items. */
const flat = (size: number) => folded(groups(size, LANES));

/** Who works on a row: one invocation, or a workgroup of 64. */
export type RowVariant = "alone" | "workgroup";

const rowParts = (variant: RowVariant) => ["row", `row-${variant}`] as const;

const rowWorkgroups = (variant: RowVariant, R: number) => (variant === "alone" ? flat(R) : folded(R));

export interface Rows {
  readonly R: number;
  readonly C: number;
}

export function norm(
  variant: RowVariant,
  { R, C }: Rows,
  eps: number,
  x: Binding,
  gain: Binding,
  y: Binding,
): Operation {
  return {
    kernel: {
      file: "norm",
      entry: "forward",
      overrides: { R, C, PITCH: C, EPS: eps },
      parts: rowParts(variant),
    },
    bindings: { 0: x, 1: gain, 2: y },
    workgroups: rowWorkgroups(variant, R),
  };
}

/** Sets dx, or adds to it; adds to dgain. `scales`: [R] of scratch. */
export function normBackward(
  variant: RowVariant,
  { R, C }: Rows,
  eps: number,
  { x, gain, dy, dx, dgain, scales }: Record<"x" | "gain" | "dy" | "dx" | "dgain" | "scales", Binding>,
  accumulate: boolean,
): Operation[] {
  return [
    {
      kernel: {
        file: "norm",
        entry: "backward",
        overrides: { R, C, PITCH: C, EPS: eps, ACCUMULATE: accumulate },
        parts: rowParts(variant),
      },
      bindings: { 0: x, 1: gain, 3: dy, 4: dx, 5: scales },
      workgroups: rowWorkgroups(variant, R),
    },
    {
      kernel: {
        file: "norm",
        entry: "gain_backward",
        overrides: { R, C, PITCH: C },
        parts: rowParts(variant),
      },
      bindings: { 0: x, 3: dy, 5: scales, 6: dgain },
      workgroups: [groups(C, LANES)],
    },
  ];
}

export interface Rotation {
  readonly R: number;
  readonly T: number;
  /** Heads that turn: the first of a row. */
  readonly heads: number;
  readonly D: number;
  /** Values in a row. */
  readonly pitch: number;
}

/** In place; `turns`: what core/model/rotations.ts makes; `direction` -1 is the backward. */
export function rope(
  { R, T, heads, D, pitch }: Rotation,
  x: Binding,
  turns: Binding,
  direction: 1 | -1,
): Operation {
  return {
    kernel: {
      file: "rope",
      entry: "rotate",
      overrides: { R, T, HEADS: heads, D, PITCH: pitch, DIRECTION: direction },
    },
    bindings: { 0: x, 1: turns },
    workgroups: flat((R * heads * D) / 2),
  };
}

/** `halves`: all of x in f16, [R, pitch], its heads turned forward. */
export function ropeToHalves(
  { R, T, heads, D, pitch }: Rotation,
  x: Binding,
  turns: Binding,
  halves: Binding,
): Operation {
  return {
    kernel: {
      file: "to-halves",
      entry: "rotate",
      overrides: { R, T, HEADS: heads, D, PITCH: pitch },
      parts: ["halves"],
    },
    bindings: { 0: x, 1: turns, 2: halves },
    workgroups: flat((R * pitch) / 2),
  };
}

export function embedding({ R, C }: Rows, tokens: Binding, table: Binding, x: Binding): Operation {
  return {
    kernel: { file: "embedding", entry: "forward", overrides: { R, C } },
    bindings: { 0: tokens, 1: table, 2: x },
    workgroups: [groups(C, TILE), groups(R, TILE)],
  };
}

/** Adds to dtable. `segments`: what core/data/token-segments.ts lays out. */
export function embeddingBackward(
  { R, C }: Rows,
  segments: Binding,
  dx: Binding,
  dtable: Binding,
): Operation {
  return {
    kernel: { file: "embedding", entry: "backward", overrides: { R, C } },
    bindings: { 3: segments, 4: dx, 5: dtable },
    workgroups: [groups(C, TILE), groups(R, TILE)],
  };
}

/** Adds to losses[R]; with a gradient, the logits, padded to a multiple of 4 a row, become it. */
export function crossEntropy(
  variant: RowVariant,
  { R, V }: { readonly R: number; readonly V: number },
  gradient: boolean,
  logits: Binding,
  targets: Binding,
  losses: Binding,
): Operation {
  return {
    kernel: {
      file: "cross-entropy",
      entry: gradient ? "loss_and_gradient" : "loss",
      overrides: { R, V, PITCH: inFours(V) },
      parts: rowParts(variant),
    },
    bindings: { 0: logits, 1: targets, 2: losses },
    workgroups: rowWorkgroups(variant, R),
  };
}

/** y = x */
export function copy(size: number, x: Binding, y: Binding): Operation {
  return {
    kernel: { file: "elementwise", entry: "copy", overrides: { SIZE: size } },
    bindings: { 0: x, 1: y },
    workgroups: flat(size),
  };
}

/** y += x */
export function accumulate(size: number, x: Binding, y: Binding): Operation {
  return {
    kernel: { file: "elementwise", entry: "accumulate", overrides: { SIZE: size } },
    bindings: { 0: x, 1: y },
    workgroups: flat(size),
  };
}

/** y += the sum of `parts` stretches of x, each as long as y. */
export function sumParts(parts: number, size: number, x: Binding, y: Binding): Operation {
  return {
    kernel: { file: "elementwise", entry: "sum_parts", overrides: { SIZE: size, PARTS: parts } },
    bindings: { 0: x, 1: y },
    workgroups: flat(size),
  };
}

/** `halves`: x in f16; shaders/parts/halves.wgsl says what becomes of values that f16 has not. */
export function toHalves(size: number, x: Binding, halves: Binding): Operation {
  return {
    kernel: { file: "to-halves", entry: "copy", overrides: { SIZE: size }, parts: ["halves"] },
    bindings: { 0: x, 2: halves },
    workgroups: flat(Math.ceil(size / 2)),
  };
}

export function adamw(
  size: number,
  buffers: Record<"gradient" | "update" | "decay" | "parameters" | "m" | "v", Binding>,
): Operation {
  const { gradient, update, decay, parameters, m, v } = buffers;
  return {
    kernel: { file: "adamw", entry: "adamw", overrides: { SIZE: size } },
    bindings: { 0: gradient, 1: update, 2: decay, 3: parameters, 4: m, 5: v },
    workgroups: flat(size),
  };
}

/** Sums of squares of NORM_PARTS parts of the gradient. */
export function squaredNorm(size: number, gradient: Binding, partials: Binding): Operation {
  return {
    kernel: { file: "adamw", entry: "squared_norm", overrides: { SIZE: size, PARTS: NORM_PARTS } },
    bindings: { 0: gradient, 6: partials },
    workgroups: [groups(NORM_PARTS, LANES)],
  };
}
