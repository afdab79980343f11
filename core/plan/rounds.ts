// When strategy `rounds` exchanges what: Streaming DiLoCo (Douillard et al., 2025, arXiv 2501.18512). The model's
// blocks are dealt out to fragments in strides; each fragment is exchanged once in `inner` steps, at a step of its
// own, and takes effect `overlap` steps later. After the last step all fragments are exchanged once more.
// Not here: what an exchange computes (core/reduce/outer.ts).
import type { ModelConfig, RoundsConfig } from "../model/config.ts";
import {
  ownedSegment,
  ownedTensors,
  parameterSpace,
  type Segment,
  type StageRange,
  type Tensor,
} from "../model/parameters.ts";
import { share } from "./partition.ts";

/** What happens after the commit of a step, in this order. */
export interface RoundsMoment {
  /** Fragments whose exchange, begun at an earlier step, takes effect. */
  readonly merges: readonly number[];
  /** Fragments whose exchange begins. */
  readonly exchanges: readonly number[];
  /** Whether the exchanges that begin take effect at this step too: they are waited for. */
  readonly atOnce: boolean;
  /** The run's last step: all fragments are exchanged. */
  readonly last: boolean;
}

/** @param step counts from 1, `steps` being the run's last */
export function roundsMoment(strategy: RoundsConfig, step: number, steps: number): RoundsMoment {
  const { fragments, overlap, inner } = strategy;
  const all = Array.from({ length: fragments }, (_, fragment) => fragment);
  const begunAt = (at: number) =>
    all.filter(
      (fragment) => at > 0 && at < steps && at % inner === share(inner, fragment + 1, fragments) % inner,
    );
  if (step < steps) {
    const atOnce = overlap === 0;
    return { merges: atOnce ? [] : begunAt(step - overlap), exchanges: begunAt(step), atOnce, last: false };
  }
  // Exchanges that would have taken effect later do so now.
  const late = Array.from({ length: overlap }, (_, i) => begunAt(steps - overlap + i));
  return { merges: late.flat(), exchanges: all, atOnce: true, last: true };
}

/** The first step after `step` at which an exchange begins. */
export function nextExchange(strategy: RoundsConfig, step: number, steps: number): number {
  let next = step + 1;
  while (next < steps && roundsMoment(strategy, next, steps).exchanges.length === 0) next++;
  return next;
}

/** The embedding's fragment. */
export const EMBEDDING_FRAGMENT = 0;

/** The fragment of a part of the model: blocks in strides, so that each has early and late ones; the ends outside. */
export function fragmentOf(part: Tensor["part"], fragments: number): number {
  if (part === "embed") return EMBEDDING_FRAGMENT;
  return part === "head" ? fragments - 1 : part % fragments;
}

/** Ranges of the canonical space that a stage owns of a fragment, in order, without neighbours that touch. */
export function fragmentSegments(
  model: ModelConfig,
  range: StageRange,
  fragment: number,
  fragments: number,
): Segment[] {
  const segments: { start: number; end: number }[] = [];
  const space = parameterSpace(model);
  const owned = ownedTensors(space, range);
  for (const [i, { part, offset }] of owned.entries()) {
    if (fragmentOf(part, fragments) !== fragment) continue;
    // The padding behind a tensor goes with it.
    const end = owned[i + 1]?.offset ?? ownedSegment(space, range).end;
    if (segments.at(-1)?.end === offset) segments.at(-1)!.end = end;
    else segments.push({ start: offset, end });
  }
  return segments;
}
