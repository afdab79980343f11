// The contest of a class of attention: forward and backward are one run.
import {
  attention as reference,
  attentionBackward as referenceBackward,
} from "../../../core/model/reference/attention.ts";
import type { Precision } from "../../../core/plan/memory.ts";
import { Random } from "../../../core/random.ts";
import { solves, type Buffers, type Problem } from "./attempt.ts";
import { attention, attentionBackward, type AttentionShape, type AttentionVariant } from "../attention.ts";
import { attentionCandidates, type Candidate } from "./candidates.ts";
import { openContest } from "./contest.ts";
import type { Gpu } from "../device.ts";
import type { Operation } from "../program.ts";
import { columns, inHalves, sideBySide, uniform, uniformHalf } from "./sample-arrays.ts";
import type { Contest } from "./search.ts";
import { attentionMultiplications } from "./shape-classes.ts";

export function openAttentionContest(
  gpu: Gpu,
  shape: AttentionShape,
  precision: Precision,
  candidates: readonly Candidate<AttentionVariant>[] = attentionCandidates(gpu, shape.D, precision),
): Promise<Contest> {
  let problem: Problem<AttentionVariant> | null = null;
  return openContest(gpu, shape, candidates, {
    check: (variant) => solves(gpu.device, (problem ??= problemOf(shape.D, precision)), variant),
    buffers: ({ R, H, G, D }) => ({
      qkv: R * (H + 2 * G) * D,
      out: R * H * D,
      logsumexp: R * H,
      dout: R * H * D,
      delta: R * H,
      dqkv: R * (H + 2 * G) * D,
    }),
    operations: (variant, size, buffers) => {
      const qkv = { ...buffers.qkv!, halves: precision === "f16" };
      return bothWays(variant, size, { ...buffers, qkv });
    },
    multiplications: attentionMultiplications,
    halved,
  });
}

function bothWays(
  variant: AttentionVariant,
  shape: AttentionShape,
  { qkv, out, logsumexp, dout, delta, dqkv }: Buffers,
): Operation[] {
  return [
    attention(variant, shape, { qkv, out, logsumexp }),
    ...attentionBackward(variant, shape, { qkv, out, logsumexp, dout, delta, dqkv }),
  ];
}

/** Fewer sequences, then shorter ones. */
function halved(shape: AttentionShape): AttentionShape | null {
  const { R, T } = shape;
  const sequences = R / T;
  if (sequences > 1) return { ...shape, R: Math.ceil(sequences / 2) * T };
  return T >= 256 ? { ...shape, R: Math.ceil(T / 2), T: Math.ceil(T / 2) } : null;
}

/** Two sequences of more rows than two blocks of 64 hold, and no whole number of fours. */
function problemOf(D: number, precision: Precision): Problem<AttentionVariant> {
  const [B, T, H, G] = [2, 139, 2, 1];
  const R = B * T;
  const random = new Random(4);
  const qkv = (precision === "f16" ? uniformHalf : uniform)(random, R * (H + 2 * G) * D);
  const dout = uniform(random, R * H * D);
  const heads = (from: number, to: number) => columns(qkv, (H + 2 * G) * D, from * D, to * D);
  const [q, k, v] = [heads(0, H), heads(H, H + G), heads(H + G, H + 2 * G)];
  const shape = { B, T, H, G, D };
  const { output, logsumexp } = reference(q, k, v, shape);
  const { dq, dk, dv } = referenceBackward(q, k, v, output, logsumexp, dout, shape);
  return {
    given: { qkv: precision === "f16" ? inHalves(qkv) : qkv, dout, delta: new Float64Array(R * H) },
    expected: { out: output, logsumexp, dqkv: sideBySide([dq, dk, dv], [H * D, G * D, G * D]) },
    operations: (variant, buffers) => bothWays(variant, { R, T, H, G, D }, buffers),
  };
}
