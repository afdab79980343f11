// SwiGLU and sums, against the reference; also over more values than one row of workgroups covers.
import { describe, expect, test } from "vitest";
import {
  swiglu as reference,
  swigluBackward as referenceBackward,
} from "../../core/model/reference/swiglu.ts";
import { Random } from "../../core/random.ts";
import { accumulate, swiglu, swigluBackward } from "../../web/engine/operations.ts";
import { expectClose, uniformSingle } from "../fixtures/arrays.ts";
import { runOperations, unset } from "./run-operations.ts";

const TOLERANCE = { relative: 1e-6 };
/** Just over 65,535 workgroups of 64. */
const LARGE = 65_535 * 64 + 77;

describe.each([1, 63, 64, 1009])("SwiGLU over %i values", (size) => {
  const random = new Random(size);
  const gate = uniformSingle(random, size, 6);
  const up = uniformSingle(random, size, 2);
  const dy = uniformSingle(random, size);

  test("forward", async () => {
    const arrays = { gate, up, y: unset(size) };
    const { y } = await runOperations(arrays, ({ gate, up, y }) => [swiglu(size, gate, up, y)]);
    expectClose(y, reference(gate, up), TOLERANCE);
  });

  test("backward, which makes y again", async () => {
    const arrays = { gate, up, dy, y: unset(size), dgate: unset(size), dup: unset(size) };
    const results = await runOperations(arrays, (buffers) => [swigluBackward(size, buffers)]);
    const { dGate, dUp } = referenceBackward(gate, up, dy);
    expectClose(results.y, reference(gate, up), TOLERANCE);
    expectClose(results.dgate, dGate, TOLERANCE);
    expectClose(results.dup, dUp, TOLERANCE);
  });
});

test("SwiGLU saturates without overflow", async () => {
  const gate = Float64Array.of(-1000, -90, 90, 1000);
  const ones = new Float64Array(4).fill(1);
  const arrays = { gate, up: ones, dy: ones, y: unset(4), dgate: unset(4), dup: unset(4) };
  const results = await runOperations(arrays, (buffers) => [swigluBackward(4, buffers)]);
  expectClose(results.y, [0, 0, 90, 1000], TOLERANCE);
  expectClose(results.dgate, [0, 0, 1, 1], TOLERANCE);
  expectClose(results.dup, [0, 0, 90, 1000], TOLERANCE);
});

describe.each([1, 67, LARGE])("sums over %i values", (size) => {
  test("every value is added once", async () => {
    const x = Float64Array.from({ length: size }, (_, i) => i % 1000);
    const y = Float64Array.from({ length: size }, (_, i) => i % 7);
    const results = await runOperations({ x, y }, ({ x, y }) => [accumulate(size, x, y)]);
    expect(results.y.findIndex((value, i) => value !== x[i] + y[i])).toBe(-1);
  });
});
