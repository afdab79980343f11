// Attention and RoPE, forward and backward, against the reference.
import { describe, expect, test } from "vitest";
import {
  attention as reference,
  attentionBackward as referenceBackward,
  attentionDelta,
} from "../../core/model/reference/attention.ts";
import { rope as referenceRope, ropeBackward } from "../../core/model/reference/rope.ts";
import { rotations } from "../../core/model/rotations.ts";
import { floatToHalf, halfToFloat } from "../../core/formats/half.ts";
import { Random } from "../../core/random.ts";
import { attention, attentionBackward, type AttentionVariant } from "../../web/engine/attention.ts";
import { rope, ropeToHalves } from "../../web/engine/operations.ts";
import { expectClose, packHalves, uniformHalf, uniformSingle } from "../fixtures/arrays.ts";
import { gpu } from "./device.ts";
import { runOperations, unset } from "./run-operations.ts";

/** Dot products of up to 64 terms in an exponent, sums of up to 131 weights. */
const TOLERANCE = { relative: 5e-6 };

const SHAPES = [
  { B: 1, T: 1, H: 1, G: 1, D: 4 },
  { B: 2, T: 1, H: 2, G: 1, D: 8 },
  { B: 3, T: 7, H: 4, G: 2, D: 4 },
  { B: 2, T: 13, H: 3, G: 3, D: 12 },
  { B: 2, T: 31, H: 6, G: 2, D: 16 },
  { B: 1, T: 67, H: 9, G: 3, D: 64 },
  { B: 1, T: 131, H: 4, G: 1, D: 32 },
];

const [few, odd, , wide, long] = SHAPES.slice(2);
const narrower = { ...wide, D: 20 };
const longer = { ...long, D: 8 };
/**
 * Kernels unroll a row of a head, so that a pipeline takes the longer to compile the wider heads are and the more rows an
 * invocation holds: seconds. The widest heads are for the variant that GPUs take; what one row does over many blocks of
 * keys, four do as well with narrower heads.
 */
const VARIANTS: (readonly [string, AttentionVariant, typeof SHAPES])[] = [
  ["one row, alone", { rows: 1, rowGroups: 4, share: "none" }, SHAPES.filter((shape) => shape !== wide)],
  ["four rows, alone", { rows: 4, rowGroups: 1, share: "none" }, [few, odd]],
  ["two rows, shared in quads", { rows: 2, rowGroups: 1, share: "quad" }, [odd, narrower]],
  ["four rows, shared in quads", { rows: 4, rowGroups: 2, share: "quad" }, [few, longer]],
  ["one row, through workgroup memory", { rows: 1, rowGroups: 16, share: "workgroup" }, [odd, wide]],
];

/** Arrays of rows, each `widths[i]` wide, side by side. */
function sideBySide(arrays: readonly Float64Array[], widths: readonly number[]): Float64Array {
  const R = arrays[0].length / widths[0];
  const rows = Array.from({ length: R }, (_, r) =>
    arrays.flatMap((array, i) => [...array.subarray(r * widths[i], (r + 1) * widths[i])]),
  );
  return Float64Array.from(rows.flat());
}

/** Queries, keys and values in each, and what the kernel and its reference both start from. */
const PRECISIONS = [
  ["f32", uniformSingle],
  ["f16 (where the GPU has shader-f16)", uniformHalf],
] as const;
const hasHalves = gpu.device.features.has("shader-f16");

const IN_PRECISIONS = VARIANTS.flatMap((variant) =>
  PRECISIONS.map((precision) => [...variant, ...precision] as const),
);

describe.each(IN_PRECISIONS)("%s", (_, variant, shapes, precision, uniform) => {
  const halves = precision !== "f32";
  const runs = (variant.share !== "quad" || gpu.device.features.has("subgroups")) && (hasHalves || !halves);
  describe.runIf(runs).each(shapes)(`${precision}: attention B $B, T $T, H $H, G $G, D $D`, (shape) => {
    const { B, T, H, G, D } = shape;
    const R = B * T;
    const random = new Random(R + H + D);
    const q = uniform(random, R * H * D, 2);
    const k = uniform(random, R * G * D, 2);
    const v = uniform(random, R * G * D);
    const widths = [H * D, G * D, G * D];
    const qkv = sideBySide([q, k, v], widths);
    const { output, logsumexp } = reference(q, k, v, shape);

    test("forward and backward", async () => {
      const dout = uniformSingle(random, R * H * D);
      const arrays = {
        qkv: halves ? packHalves(qkv) : qkv,
        dout,
        saved: output,
        savedLogsumexp: logsumexp,
        out: unset(R * H * D),
        logsumexp: unset(R * H),
        delta: unset(R * H),
        dqkv: unset(qkv.length),
      };
      const results = await runOperations(arrays, ({ qkv, saved, savedLogsumexp, ...others }) => {
        const buffers = { qkv: { ...qkv, halves }, ...others };
        return [
          attention(variant, { R, T, H, G, D }, buffers),
          ...attentionBackward(
            variant,
            { R, T, H, G, D },
            { ...buffers, out: saved, logsumexp: savedLogsumexp },
          ),
        ];
      });
      expectClose(results.out, output, TOLERANCE);
      expectClose(results.logsumexp, logsumexp, TOLERANCE);
      const { dq, dk, dv } = referenceBackward(q, k, v, output, logsumexp, dout, shape);
      expectClose(results.delta, attentionDelta(output, dout, shape), TOLERANCE);
      // Where one key is all there is, dq and dk are differences of equal numbers.
      expectClose(results.dqkv, sideBySide([dq, dk, dv], widths), { ...TOLERANCE, absolute: 1e-6 });
    });
  });

  test.runIf(runs && !halves)("takes scores far apart without overflow", async () => {
    const shape = { B: 1, T: 5, H: 1, G: 1, D: 4 };
    const random = new Random(5);
    const [q, k, v] = [
      uniformSingle(random, 20, 60),
      uniformSingle(random, 20, 60),
      uniformSingle(random, 20),
    ];
    const arrays = { qkv: sideBySide([q, k, v], [4, 4, 4]), out: unset(20), logsumexp: unset(5) };
    const results = await runOperations(arrays, (buffers) => [
      attention(variant, { R: 5, ...shape }, buffers),
    ]);
    const expected = reference(q, k, v, shape);
    expectClose(results.out, expected.output, { relative: 1e-3 });
    expectClose(results.logsumexp, expected.logsumexp, TOLERANCE);
  });
});

describe.each([
  { B: 1, T: 1, heads: 1, D: 2, theta: 10000 },
  { B: 3, T: 5, heads: 3, D: 6, theta: 10000 },
  { B: 2, T: 37, heads: 9, D: 16, theta: 10000 },
  { B: 1, T: 101, heads: 3, D: 64, theta: 100000 },
  { B: 1, T: 2048, heads: 1, D: 8, theta: 10000 },
])("RoPE B $B, T $T, $heads heads, D $D, theta $theta", (shape) => {
  const R = shape.B * shape.T;
  const x = uniformSingle(new Random(R), R * shape.heads * shape.D);
  const turns = Float64Array.from(rotations(shape.T, shape.D, shape.theta));

  test("forward and backward, in place", async () => {
    const arrays = { forward: x, backward: x, turns };
    const results = await runOperations(arrays, ({ forward, backward, turns }) => [
      rope({ R, ...shape, pitch: shape.heads * shape.D }, forward, turns, 1),
      rope({ R, ...shape, pitch: shape.heads * shape.D }, backward, turns, -1),
    ]);
    expectClose(results.forward, referenceRope(x, { R, ...shape }), { relative: 3e-7 });
    expectClose(results.backward, ropeBackward(x, { R, ...shape }), { relative: 3e-7 });
  });
});

describe.each([
  { R: 3, T: 1, heads: 1, D: 4, pitch: 4 },
  { R: 10, T: 5, heads: 3, D: 12, pitch: 48 },
  { R: 74, T: 37, heads: 9, D: 16, pitch: 160 },
])("RoPE into f16: $R rows, T $T, $heads heads, D $D, $pitch a row", (rotation) => {
  const { R, T, heads, D, pitch } = rotation;

  test("what is turned, and what stands behind it, to the nearest f16", async () => {
    const x = uniformSingle(new Random(R), R * pitch, 3);
    const turns = Float64Array.from(rotations(T, D, 10000));
    const behind = (values: ArrayLike<number>) => Array.from(values).filter((_, i) => i % pitch >= heads * D);
    const front = Float64Array.from(x.filter((_, i) => i % pitch < heads * D));
    const arrays = { x, turns, halves: new Uint32Array((R * pitch) / 2) };
    const { halves } = await runOperations(arrays, ({ x, turns, halves }) => [
      ropeToHalves(rotation, x, turns, halves),
    ]);
    const values = Array.from(new Uint16Array(halves.slice().buffer), halfToFloat);
    const turned = referenceRope(front, { R, T, heads, D, theta: 10000 });
    // Half of f16's last place, of values below 4.3.
    const near = { relative: 0, absolute: 2 ** -9 + 1e-6 };
    expectClose(
      values.filter((_, i) => i % pitch < heads * D),
      turned,
      near,
    );
    expect(behind(values)).toEqual(behind(x).map((value) => halfToFloat(floatToHalf(value))));
  });
});

test("RoPE leaves what stands behind its heads in a row", async () => {
  const x = uniformSingle(new Random(1), 3 * 20);
  const turns = Float64Array.from(rotations(3, 4, 10000));
  const rows = (values: ArrayLike<number>, from: number, to: number) =>
    Array.from(values).filter((_, i) => i % 20 >= from && i % 20 < to);
  const results = await runOperations({ x, turns }, ({ x, turns }) => [
    rope({ R: 3, T: 3, heads: 2, D: 4, pitch: 20 }, x, turns, 1),
  ]);
  const turned = referenceRope(Float64Array.from(rows(x, 0, 8)), {
    R: 3,
    T: 3,
    heads: 2,
    D: 4,
    theta: 10000,
  });
  expectClose(rows(results.x, 0, 8), turned, { relative: 3e-7 });
  expectClose(rows(results.x, 8, 20), rows(x, 8, 20), { relative: 0 });
});
