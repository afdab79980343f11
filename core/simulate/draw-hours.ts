// Throughput hour by hour, as people see it: bars of text, and an SVG.
import { formatCount } from "../format.ts";
import { svgPage, svgText } from "../svg.ts";
import type { Simulation } from "./simulate.ts";

/** Of the longest bar. */
const COLUMNS = 60;

/** A line an hour: `width` of its tokens/s out of the most that any hour reached. */
export function hoursText({ hours }: Simulation): string[] {
  const most = Math.max(...hours.map(({ tokensPerSecond }) => tokensPerSecond));
  const digits = String(hours.length).length;
  return hours.map(({ tokensPerSecond }, i) => {
    const bar = "#".repeat(most > 0 ? Math.round((COLUMNS * tokensPerSecond) / most) : 0);
    return `${String(i + 1).padStart(digits)} ${bar.padEnd(COLUMNS)} ${formatCount(tokensPerSecond)}`;
  });
}

const WIDTH = 960;
const HEIGHT = 320;
const MARGIN = 12;
const SCALE = 90;
const WORDS = 24;

/** A bar an hour; lines for what the first plan was predicted to reach, and for what all who were there could alone. */
export function hoursSvg({ hours, prediction, upperBound, seconds }: Simulation, title: string): string {
  const levels = [
    ...(prediction ? [{ words: "predicted", value: prediction.tokensPerSecond }] : []),
    { words: "upper bound", value: upperBound },
  ];
  const most = Math.max(...levels.map(({ value }) => value), ...hours.map((hour) => hour.tokensPerSecond));
  const [left, right, top, bottom] = [
    MARGIN + SCALE,
    WIDTH - MARGIN,
    MARGIN + WORDS,
    HEIGHT - MARGIN - WORDS,
  ];
  const x = (time: number) => left + ((right - left) * time) / seconds;
  const y = (value: number) => bottom - ((bottom - top) * value) / most;
  const parts = [svgText(MARGIN, MARGIN + 12, title, ' font-weight="bold"')];
  let time = 0;
  for (const [i, hour] of hours.entries()) {
    const [from, to] = [x(time), x(time + hour.seconds)];
    const value = y(hour.tokensPerSecond);
    const words = `hour ${i + 1}: ${formatCount(hour.tokensPerSecond)} tokens/s`;
    parts.push(
      `<rect x="${from.toFixed(2)}" y="${value.toFixed(2)}" width="${(to - from).toFixed(2)}" height="${(bottom - value).toFixed(2)}" fill="#4e79a7" stroke="#fff" stroke-width="0.5"><title>${words}</title></rect>`,
    );
    time += hour.seconds;
  }
  for (const { words, value } of levels) {
    const at = y(value).toFixed(2);
    parts.push(
      `<line x1="${left}" y1="${at}" x2="${right}" y2="${at}" stroke="#e15759" stroke-dasharray="4 3"/>`,
    );
    parts.push(svgText(MARGIN, Number(at) - 4, words), svgText(MARGIN, Number(at) + 10, formatCount(value)));
  }
  parts.push(svgText(left, HEIGHT - MARGIN, `tokens/s, hour by hour; ${(seconds / 3600).toPrecision(3)} h`));
  return svgPage(WIDTH, HEIGHT, parts);
}
