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

/** Fragments that are exchanged together: the exchange that begins at step `at`. */
export interface Exchange {
  readonly at: number;
  /** None where no exchange begins. */
  readonly fragments: readonly number[];
  /** The run's last step: all fragments are exchanged, and waited for. */
  readonly last: boolean;
}

/** @param at counts from 1, `steps` being the run's last */
export function exchangeAt({ fragments, inner }: RoundsConfig, at: number, steps: number): Exchange {
  const all = Array.from({ length: fragments }, (_, fragment) => fragment);
  if (at === steps) return { at, fragments: all, last: true };
  const isDue = (fragment: number) => at % inner === share(inner, fragment + 1, fragments) % inner;
  return { at, fragments: all.filter(isDue), last: false };
}

/** How far a site has come, by steps. Exchanges go by the step at which they begin. */
export interface Standing {
  /** Committed, or left out. */
  readonly step: number;
  /** Exchanges that the site has begun, and those that have taken effect: all up to these. */
  readonly begun: number;
  readonly merged: number;
}

/** What a site does between two steps: it begins an exchange, or lets one take effect. */
export interface Duty extends Exchange {
  readonly kind: "exchange" | "merge";
}

/**
 * What a site has to do before its next step, in order. One that has done its duties so far has those of the step that it
 * has just done; more where an exchange that was begun came to nothing.
 */
export function dutiesOf(strategy: RoundsConfig, { step, begun, merged }: Standing, steps: number): Duty[] {
  const duties: Duty[] = [];
  for (let at = merged + 1; at <= step; at++) {
    const exchange = exchangeAt(strategy, at, steps);
    if (exchange.fragments.length === 0) continue;
    if (at > begun) duties.push({ kind: "exchange", ...exchange });
    // Those that would take effect after the last step do so at it.
    if (at + strategy.overlap <= step || step === steps) duties.push({ kind: "merge", ...exchange });
  }
  return duties;
}

/** The first step after `step` at which an exchange begins. */
export function nextExchange(strategy: RoundsConfig, step: number, steps: number): number {
  let next = step + 1;
  while (next < steps && exchangeAt(strategy, next, steps).fragments.length === 0) next++;
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
