// A step of a pipeline as people see it: a line a stage, time from left to right; as text and as SVG.
// Not here: when things happen (timeline.ts).
import { svgPage, svgText } from "../svg.ts";
import type { OpKind, TimedOp } from "./timeline.ts";

const LETTERS: Readonly<Record<OpKind, string>> = { forward: "F", backward: "B", input: "B", weights: "W" };
const IDLE = ".";

/** A letter for what a stage mostly does in each of `columns` equal parts of `seconds`. */
export function timelineText(
  timeline: readonly (readonly TimedOp[])[],
  seconds: number,
  columns: number,
): string[] {
  return timeline.map((ops) => {
    const filled: Partial<Record<string, number>>[] = Array.from({ length: columns }, () => ({}));
    for (const { kind, start, end } of ops) {
      const [from, to] = [(start / seconds) * columns, (end / seconds) * columns];
      for (let column = Math.floor(from); column < Math.min(to, columns); column++) {
        const part = Math.min(to, column + 1) - Math.max(from, column);
        const letters = filled[column]!;
        letters[LETTERS[kind]] = (letters[LETTERS[kind]] ?? 0) + part;
      }
    }
    return filled.map(mostOf).join("");
  });
}

function mostOf(letters: Partial<Record<string, number>>): string {
  const busy = Object.values(letters).reduce<number>((sum, part) => sum + part!, 0);
  const all = [...Object.entries(letters), [IDLE, 1 - busy] as const];
  return all.reduce((a, b) => (b[1]! > a[1]! ? b : a))[0];
}

/** A pipeline's step. */
export interface DrawnPipeline {
  readonly title: string;
  /** Of each stage. */
  readonly names: readonly string[];
  readonly timeline: readonly (readonly TimedOp[])[];
}

const COLOURS: Readonly<Record<OpKind, string>> = {
  forward: "#4e79a7",
  backward: "#59a14f",
  input: "#59a14f",
  weights: "#9c755f",
};
const WIDTH = 960;
const MARGIN = 12;
const NAMES = 130;
const ROW = 18;

/** All on one scale of `seconds`. */
export function timelineSvg(pipelines: readonly DrawnPipeline[], seconds: number): string {
  const scale = (WIDTH - NAMES - 2 * MARGIN) / seconds;
  const parts: string[] = [];
  let y = MARGIN;
  for (const { title, names, timeline } of pipelines) {
    parts.push(svgText(MARGIN, y + 12, title, ' font-weight="bold"'));
    y += ROW;
    for (const [stage, ops] of timeline.entries()) {
      parts.push(svgText(MARGIN, y + 12, names[stage]!));
      for (const { kind, index, start, end } of ops) {
        const [x, width] = [MARGIN + NAMES + start * scale, (end - start) * scale];
        parts.push(
          `<rect x="${x.toFixed(2)}" y="${y}" width="${width.toFixed(2)}" height="${ROW - 3}" fill="${COLOURS[kind]}" stroke="#fff" stroke-width="0.5"><title>${kind} ${index + 1}: ${start.toPrecision(4)} to ${end.toPrecision(4)} s</title></rect>`,
        );
      }
      y += ROW;
    }
    y += ROW / 2;
  }
  parts.push(
    svgText(MARGIN + NAMES, y + 12, `${seconds.toPrecision(3)} s; F blue, B green, weights' half brown`),
  );
  return svgPage(WIDTH, y + ROW + MARGIN, parts);
}
