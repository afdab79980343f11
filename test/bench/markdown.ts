// docs/benchmarks.md, made from the results in docs/benchmarks.
import { median } from "./statistics.ts";
import type { Codecs, Measurement, Profile, Reducer, Result, Row } from "./result.ts";

const HEADER = `# Benchmarks

Made by \`npm run bench\` from the files in \`docs/benchmarks/\`; do not edit by hand.

All contenders of a table ran in one page (or process) on one adapter. Each was first checked: a product against its factors, a step's first three losses against float64; one that is wrong is said to be wrong and not timed. Then, after a warm-up, each took one sample a round, in turn, and every sample waits for the GPU. Times are of one product or one step, waits included; samples of 5 × 16 are five, each the mean of 16 runs in a row. A software adapter runs on the processor: its figures rank kernels for processors, not for GPUs.
`;

/** The whole page. `results` in the order they are to be read. */
export function renderBenchmarks(results: readonly Result[]): string {
  const gpu = results.some(({ adapter }) => !isSoftware(adapter));
  const missing = gpu ? [] : ["## On a GPU\n\nNo figures: no GPU was to be had."];
  return [HEADER, ...results.map(renderResult), ...missing].join("\n\n");
}

export function renderResult({
  command,
  runtime,
  adapter,
  processor,
  date,
  packages,
  measurements,
  codecs,
}: Result): string {
  const versions = Object.entries(packages).map(([name, version]) => `${name} ${version}`);
  return [
    `## ${command}: ${runtime}, adapter ${adapter}`,
    `${date}; ${processor}; ${versions.join(", ")}.`,
    ...measurements.map(renderMeasurement),
    ...(codecs ? [renderCodecs(codecs), ...renderReducers(codecs.reducers)] : []),
  ].join("\n\n");
}

function renderMeasurement({ title, flops, counted, rows, profile }: Measurement): string {
  const ours = rows.find(({ contender }) => contender === "ours");
  const lines = rows.map((row) => `| ${cells(row, flops, ours).join(" | ")} |`);
  const reasons = rows.flatMap((row) =>
    row.outcome === "measured" ? [] : [`${row.contender}, ${row.outcome}: ${row.why}.`],
  );
  return [
    `**${title}**: ${(flops / 1e9).toPrecision(3)} GFLOP (${counted}).`,
    [
      "| contender | median | min–max | samples | GFLOP/s | time against ours |",
      "| --- | --- | --- | --- | --- | --- |",
      ...lines,
    ].join("\n"),
    ...reasons,
    ...(profile ? [renderProfile(profile)] : []),
  ].join("\n\n");
}

/** A line a codec and size, a column a number of sites. */
function renderReducers(reducers: readonly Reducer[]): string[] {
  if (reducers.length === 0) return [];
  const sites = [...new Set(reducers.map((one) => one.sites))];
  const cases = [...new Set(reducers.map(({ codec, values }) => `${codec} ${values}`))];
  const lines = cases.map((name) => {
    const [codec, values] = name.split(" ") as [string, string];
    const times = sites.map((count) => {
      const found = reducers.find((one) => `${one.codec} ${one.values}` === name && one.sites === count);
      return found ? (1000 * median(found.seconds)).toPrecision(3) : "";
    });
    return [codec, ((4 * Number(values)) / 2 ** 20).toString(), ...times];
  });
  const heads = ["codec", "MiB of f32", ...sites.map((count) => `${count} sites`)];
  const table = [heads, heads.map(() => "---"), ...lines];
  return [
    "The wide reducer: milliseconds of one site's processor for a weighted mean of a segment over sites, with error feedback, links left out; medians.",
    table.map((cells) => `| ${cells.join(" | ")} |`).join("\n"),
  ];
}

function renderCodecs({ values, rounds, rows }: Codecs): string {
  const speed = (seconds: number[] | undefined) =>
    seconds ? ((4 * values) / median(seconds) / 1e9).toPrecision(3) : "";
  const data = rows[0]!.errors.map(({ data }) => data);
  const heads = ["codec", "bits a value", "encode", "decode", "encode, GPU", "decode, GPU"];
  const errorHeads = data.flatMap((name) => [`error, ${name}`, `of ${rounds}, ${name}`]);
  const lines = rows.map(({ codec, bytes, script, gpu, errors }) => [
    codec,
    ((8 * bytes) / values).toPrecision(3),
    ...[script.encode, script.decode, gpu?.encode, gpu?.decode].map(speed),
    ...errors.flatMap(({ once, summed }) => [once, summed].map((error) => error.toPrecision(2))),
  ]);
  const table = [[...heads, ...errorHeads], [...heads, ...errorHeads].map(() => "---"), ...lines];
  return [
    `Codecs over ${(values / 1e6).toPrecision(2)} million f32 values: speeds in GB/s of f32 on one thread in JavaScript and on the adapter, whose bits were first checked to be the same; medians. On the adapter encoding is with error feedback: the values are added to what was left out before. Errors are ||said - wanted|| / ||wanted||, of one encoding, and of the sum of ${rounds}, each of new values and with error feedback.`,
    table.map((cells) => `| ${cells.join(" | ")} |`).join("\n"),
  ].join("\n\n");
}

/** Kernels that take less than this share of a step are told together. */
const SMALL = 0.01;

function renderProfile({ step, encode, kernels }: Profile): string {
  const total = kernels.reduce((sum, { seconds }) => sum + seconds, 0);
  const small = kernels.filter(({ seconds }) => seconds < SMALL * total);
  const rest = {
    name: "others",
    calls: small.reduce((sum, { calls }) => sum + calls, 0),
    seconds: small.reduce((sum, { seconds }) => sum + seconds, 0),
  };
  const lines = [
    ...kernels.filter((kernel) => !small.includes(kernel)),
    ...(small.length > 0 ? [rest] : []),
  ].map(
    ({ name, calls, seconds }) =>
      `| ${name} | ${calls} | ${duration(seconds)} | ${((100 * seconds) / total).toFixed(1)} % |`,
  );
  return [
    `Where ours spends a step of ${duration(step)}: kernels ${duration(total)}, measured one by one; encoding ${duration(encode)}; the rest, ${duration(Math.max(0, step - total))}, is waiting and what lies between kernels.`,
    ["| kernel | calls | time | share |", "| --- | --- | --- | --- |", ...lines].join("\n"),
  ].join("\n\n");
}

function cells(row: Row, flops: number, ours: Row | undefined): string[] {
  if (row.outcome !== "measured") return [row.contender, row.outcome, "", "", "", ""];
  const { contender, seconds, times } = row;
  const middle = median(seconds);
  const ratio = ours?.outcome === "measured" ? `${(middle / median(ours.seconds)).toFixed(2)}×` : "";
  return [
    contender,
    duration(middle),
    `${duration(Math.min(...seconds))}–${duration(Math.max(...seconds))}`,
    times > 1 ? `${seconds.length} × ${times}` : String(seconds.length),
    (flops / middle / 1e9).toPrecision(3),
    ratio,
  ];
}

/** Three digits, in seconds or milliseconds. */
export function duration(seconds: number): string {
  return seconds < 1 ? `${digits(seconds * 1000)} ms` : `${digits(seconds)} s`;
}

const digits = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

const SOFTWARE = /swiftshader|llvmpipe|lavapipe|^software$/i;
const isSoftware = (adapter: string): boolean => SOFTWARE.test(adapter);
