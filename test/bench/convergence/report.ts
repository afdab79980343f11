// docs/convergence.md and its plot, from the results. Pure: text in, text out.
import type { Result } from "./results.ts";

const BASELINE = "sync f32";

/** Results of one strategy on one number of sites, from all its seeds. */
interface Row {
  readonly name: string;
  readonly sites: number;
  readonly losses: readonly number[];
  /** Of each loss, in the same order. */
  readonly seeds: readonly number[];
  readonly bytesPerToken: number;
  readonly curve: Result["curve"];
}

/** `folder`: where the plots are. */
export function renderReport(results: readonly Result[], folder: string): string {
  const [first] = results;
  if (!first) return "# Convergence\n\nNothing has been measured yet.\n";
  const { model, data, optimizer } = first.config;
  return [
    "# Convergence",
    "What the strategies cost in loss and save in bytes between sites: the same model, text, tokens and optimizer, trained by different strategies on two and four sites. Drawn up by `npx tsx test/bench/convergence/main.ts`, which runs what is missing; raw results and configurations are in [convergence/results.json](convergence/results.json).",
    `The model: ${model.layers} blocks, width ${model.width}, hidden ${model.hidden}, ${model.heads} heads (${model.kvHeads} of keys and values), context ${model.context}, bytes as tokens. The text: \`${data.text}\`; ${100 * data.valid} % of it, pieces from all over, are held out for validation (\`held-out.ts\`). AdamW, cosine to a tenth of the learning rate, clipped at ${optimizer.clip}. All sites are in one page and share its GPU; they run what worker pages run, and what they would send each other is counted with its frame headers. No site leaves steps out. Before the last step, losses of \`rounds\` are of the sites' own parameters.`,
    "From a seed a model learns fastest, and sites drift apart fastest: nothing there is flat yet. The other tables are the end of a long run, whose first 6,000 steps one site had done: `npx tributary local docs/convergence/start/run.json --sites a:1:firefox`, then `export`. What there is to lose in each is what one site alone, with its half of every batch, comes to, or two that exchange once, at the end.",
    "Wide bytes: of all sites together, per token trained on. The loss of several seeds is their mean, with the smallest and the largest; a difference is to sync f32 on as many sites from the same seeds.",
    ...byRegime(results).flatMap(([regime, ofRegime]) => [
      `## ${titleOf(ofRegime[0]!.config)}`,
      table(rowsOf(ofRegime)),
      `![Validation loss by step](${folder}/${plotName(regime)})`,
    ]),
  ].join("\n\n");
}

/** Results that may be held against each other, by what they have in common. */
export function byRegime(results: readonly Result[]): [regime: string, results: Result[]][] {
  const regimes = new Map<string, Result[]>();
  for (const result of results) {
    const { init, optimizer } = result.config;
    const regime = `${init ? "continued" : "from-seed"}-${optimizer.lr}`;
    regimes.set(regime, [...(regimes.get(regime) ?? []), result]);
  }
  return [...regimes];
}

export const plotName = (regime: string): string => `plot-${regime}.svg`;

function titleOf({ batch, model, steps, optimizer, init }: Result["config"]): string {
  const [tokens, all] = [batch * model.context, steps].map((count) => count.toLocaleString("en"));
  const start = init
    ? `from [a model that one site had trained](${init.replace("docs/", "")})`
    : "from a seed";
  return `${all} steps of ${tokens} tokens ${start}, learning rate ${optimizer.lr} after a warm-up of ${optimizer.warmup}`;
}

function rowsOf(results: readonly Result[]): Row[] {
  const groups = new Map<string, Result[]>();
  for (const result of results) {
    const key = `${result.sites} ${result.name}`;
    groups.set(key, [...(groups.get(key) ?? []), result]);
  }
  return [...groups.values()]
    .map((group) => ({
      name: group[0]!.name,
      sites: group[0]!.sites,
      losses: group.map(({ curve }) => curve.at(-1)!.loss),
      seeds: group.map(({ seed }) => seed),
      bytesPerToken: group[0]!.wideBytes / group[0]!.tokens,
      curve: group[0]!.curve,
    }))
    .sort((a, b) => a.sites - b.sites || b.bytesPerToken - a.bytesPerToken);
}

function table(rows: readonly Row[]): string {
  const head = ["Sites", "Strategy", "Validation loss", "to sync f32", "Wide bytes a token", "Fewer by"];
  const lines = rows.map((row) => {
    const baselines = rows.filter(({ name }) => name === BASELINE);
    // One site alone is held against two.
    const baseline = baselines.find(({ sites }) => sites === row.sites) ?? baselines[0];
    const isBaseline = row === baseline;
    return [
      String(row.sites),
      row.name,
      lossOf(row.losses),
      baseline && !isBaseline ? signed(100 * difference(row, baseline)) : "",
      row.bytesPerToken.toPrecision(3),
      baseline && !isBaseline && row.sites > 1
        ? `${(baseline.bytesPerToken / row.bytesPerToken).toFixed(0)}x`
        : "",
    ];
  });
  return [head, head.map(() => "---"), ...lines].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}

/** To the baseline of the same seed, the mean over seeds that both have. */
function difference(row: Row, baseline: Row): number {
  const ofSeed = new Map(baseline.seeds.map((seed, i) => [seed, baseline.losses[i]!]));
  const both = row.losses.flatMap((loss, i) => {
    const other = ofSeed.get(row.seeds[i]!);
    return other === undefined ? [] : [loss / other - 1];
  });
  return mean(both);
}

function lossOf(losses: readonly number[]): string {
  if (losses.length === 1) return losses[0]!.toFixed(4);
  const [low, high] = [Math.min(...losses), Math.max(...losses)];
  return `${mean(losses).toFixed(4)} (${losses.length} seeds, ${low.toFixed(4)} to ${high.toFixed(4)})`;
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

const signed = (percent: number): string => `${percent < 0 ? "" : "+"}${percent.toFixed(2)} %`;

const WIDTH = 800;
const HEIGHT = 480;
const MARGIN = { left: 56, right: 16, top: 16, bottom: 40 };
/** Of losses shown. */
const SPANS = [0.3, 0.6, 1.2];
const COLOURS = [
  "#1f77b4",
  "#d62728",
  "#2ca02c",
  "#9467bd",
  "#ff7f0e",
  "#17becf",
  "#8c564b",
  "#e377c2",
  "#7f7f7f",
  "#bcbd22",
];

/** Validation loss by step, a curve a row, as SVG; trainings of one regime. */
export function renderPlot(results: readonly Result[]): string {
  const rows = rowsOf(results);
  const points = rows.flatMap(({ curve }) => curve);
  const steps = Math.max(...points.map(({ step }) => step));
  const low = Math.floor(10 * Math.min(...points.map(({ loss }) => loss))) / 10;
  const highest = Math.max(...points.map(({ loss }) => loss));
  // What diverges leaves the picture rather than flatten the rest.
  const high = low + (SPANS.find((span) => highest <= low + span) ?? SPANS.at(-1)!);
  const x = (step: number) => MARGIN.left + (step / steps) * (WIDTH - MARGIN.left - MARGIN.right);
  const y = (loss: number) =>
    MARGIN.top + ((high - Math.min(loss, high)) / (high - low)) * (HEIGHT - MARGIN.top - MARGIN.bottom);
  const ticks = Array.from({ length: 7 }, (_, i) => low + (i * (high - low)) / 6);
  const marks = Array.from({ length: 6 }, (_, i) => Math.round((i * steps) / 5));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    ...ticks.map(
      (loss) =>
        `<path d="M${MARGIN.left} ${y(loss).toFixed(1)}H${WIDTH - MARGIN.right}" stroke="#dddddd"/><text x="${MARGIN.left - 8}" y="${(y(loss) + 4).toFixed(1)}" text-anchor="end">${loss.toFixed(2)}</text>`,
    ),
    ...marks.map(
      (step) => `<text x="${x(step).toFixed(1)}" y="${HEIGHT - 16}" text-anchor="middle">${step}</text>`,
    ),
    ...rows.flatMap(({ name, sites, curve }, i) => {
      const colour = COLOURS[i % COLOURS.length]!;
      const path = curve.map(({ step, loss }) => `${x(step).toFixed(1)} ${y(loss).toFixed(1)}`).join("L");
      const dash = sites > 2 ? ' stroke-dasharray="6 3"' : "";
      const at = MARGIN.top + 12 + 18 * i;
      return [
        `<path d="M${path}" fill="none" stroke="${colour}" stroke-width="1.8"${dash}/>`,
        `<path d="M${WIDTH - 250} ${at}h24" stroke="${colour}" stroke-width="1.8"${dash}/>`,
        `<text x="${WIDTH - 218}" y="${at + 4}">${sites > 1 ? `${sites} sites, ` : ""}${name}</text>`,
      ];
    }),
    "</svg>",
  ].join("\n");
}
