// `npx tsx test/bench/convergence/main.ts [NAME]`: runs the experiments that docs/convergence/results.json lacks (all,
// or those whose names contain NAME) in Firefox, one after the other, adds each to it as it ends, and draws up
// docs/convergence.md. Stopped and started again it goes on with the experiment it was in.
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { format } from "prettier";
import { byteTokenizer } from "../../../core/formats/tokenizer.ts";
import { EXIT, UserError } from "../../../server/errors.ts";
import { interrupted } from "../../../server/interrupt.ts";
import { readText } from "../../../server/corpus.ts";
import { openFirefox } from "../browsers.ts";
import { serveTask } from "../serve.ts";
import { holdOut } from "./held-out.ts";
import { EXPERIMENTS, type Experiment } from "./experiments.ts";
import { byRegime, plotName, renderPlot, renderReport } from "./report.ts";
import { Results, Trained, type Result } from "./results.ts";

const FOLDER = "docs/convergence";
const FILE = join(FOLDER, "results.json");
/** The text that trains, for `tributary local docs/convergence/start/run.json`. */
const TRAINING_TEXT = "dist/convergence/train.txt";

const ending = interrupted().then(() => {
  throw new UserError("interrupted", EXIT.interrupted);
});
const wanted = process.argv[2] ?? "";
for (const one of EXPERIMENTS.filter(({ name }) => name.includes(wanted))) {
  const results = await stored();
  if (results.some((result) => isOf(result, one))) continue;
  await keep([...results, await run(one)]);
}
await drawUp(await stored());
process.exit(0);

/** The same configuration to the letter: what has been changed is run again. */
function isOf(result: Result, { name, sites, seed, config }: Experiment): boolean {
  const same = result.name === name && result.sites === sites && result.seed === seed;
  return same && JSON.stringify(result.config) === JSON.stringify(config);
}

async function run({ name, sites, seed, config }: Experiment): Promise<Result> {
  const { init } = config;
  console.log(`${name}, ${sites} sites, seed ${seed}${init ? `, from ${init}` : ""}`);
  const { train, valid } = holdOut(await readText(config.data.text), config.data.valid);
  await mkdir(dirname(TRAINING_TEXT), { recursive: true });
  await writeFile(TRAINING_TEXT, train);
  const served = await serveTask({
    sources: "test/bench/convergence",
    job: { config, sites },
    files: {
      train: encoded(train),
      valid: encoded(valid),
      ...(init && { start: Uint8Array.from(await readFile(join(init, "model.safetensors"))) }),
    },
    report: Trained,
    say: console.log,
  });
  const page = await openFirefox(served.url);
  try {
    const trained = await Promise.race([served.report, page.broken, ending]);
    return { name, sites, seed, config, date: new Date().toISOString().slice(0, 10), ...trained };
  } finally {
    await page.close();
    served.close();
  }
}

function encoded(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(byteTokenizer.encode(text));
}

async function stored(): Promise<Result[]> {
  const text = await readFile(FILE, "utf8").catch(() => "[]");
  return Results.parse(JSON.parse(text));
}

async function keep(results: readonly Result[]): Promise<void> {
  await mkdir(FOLDER, { recursive: true });
  await writeFile(FILE, await format(JSON.stringify(results), { parser: "json", printWidth: 110 }));
  await drawUp(results);
}

async function drawUp(results: readonly Result[]): Promise<void> {
  for (const [regime, ofRegime] of byRegime(results)) {
    await writeFile(join(FOLDER, plotName(regime)), renderPlot(ofRegime));
  }
  const report = renderReport(results, "convergence");
  await writeFile("docs/convergence.md", await format(report, { parser: "markdown", printWidth: 110 }));
}
