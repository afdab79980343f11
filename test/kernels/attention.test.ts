// Attention and RoPE, forward and backward, against the reference.
import { describe, test } from "vitest";
import {
  attention as reference,
  attentionBackward as referenceBackward,
  attentionDelta,
} from "../../core/model/reference/attention.ts";
import { rope as referenceRope, ropeBackward } from "../../core/model/reference/rope.ts";
import { rotations } from "../../core/model/rotations.ts";
import { Random } from "../../core/random.ts";
import { attention, attentionBackward, rope } from "../../web/engine/operations.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
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

describe.each(SHAPES)("attention B $B, T $T, H $H, G $G, D $D", (shape) => {
  const { B, T, H, G, D } = shape;
  const R = B * T;
  const random = new Random(R + H + D);
  const q = uniformSingle(random, R * H * D, 2);
  const k = uniformSingle(random, R * G * D, 2);
  const v = uniformSingle(random, R * G * D);
  const { output, logsumexp } = reference(q, k, v, shape);

  test("forward", async () => {
    const arrays = { q, k, v, out: unset(R * H * D), logsumexp: unset(R * H) };
    const results = await runOperations(arrays, (buffers) => [attention({ R, T, H, G, D }, buffers)]);
    expectClose(results.out, output, TOLERANCE);
    expectClose(results.logsumexp, logsumexp, TOLERANCE);
  });

  test("backward", async () => {
    const dout = uniformSingle(random, R * H * D);
    const arrays = {
      q,
      k,
      v,
      dout,
      out: output,
      logsumexp,
      delta: unset(R * H),
      dq: unset(R * H * D),
      dk: unset(R * G * D),
      dv: unset(R * G * D),
    };
    const results = await runOperations(arrays, (buffers) => attentionBackward({ R, T, H, G, D }, buffers));
    const { dq, dk, dv } = referenceBackward(q, k, v, output, logsumexp, dout, shape);
    expectClose(results.delta, attentionDelta(output, dout, shape), TOLERANCE);
    // Where one key is all there is, dq and dk are differences of equal numbers.
    expectClose(results.dq, dq, { ...TOLERANCE, absolute: 1e-6 });
    expectClose(results.dk, dk, { ...TOLERANCE, absolute: 1e-6 });
    expectClose(results.dv, dv, TOLERANCE);
  });
});

test("attention takes scores far apart without overflow", async () => {
  const shape = { B: 1, T: 5, H: 1, G: 1, D: 4 };
  const random = new Random(5);
  const [q, k, v] = [uniformSingle(random, 20, 60), uniformSingle(random, 20, 60), uniformSingle(random, 20)];
  const arrays = { q, k, v, out: unset(20), logsumexp: unset(5) };
  const results = await runOperations(arrays, (buffers) => [attention({ R: 5, ...shape }, buffers)]);
  const expected = reference(q, k, v, shape);
  expectClose(results.out, expected.output, { relative: 1e-3 });
  expectClose(results.logsumexp, expected.logsumexp, TOLERANCE);
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
      rope({ R, ...shape }, forward, turns, 1),
      rope({ R, ...shape }, backward, turns, -1),
    ]);
    expectClose(results.forward, referenceRope(x, { R, ...shape }), { relative: 3e-7 });
    expectClose(results.backward, ropeBackward(x, { R, ...shape }), { relative: 3e-7 });
  });
});
