// `npm run bench -- precision`: trains the demo's model in f32 and in f16 and prints how their losses and
// times compare.
import { parseArgs } from "node:util";
import { RunConfig } from "../../core/model/config.ts";
import demo from "../../core/model/demo.json" with { type: "json" };
import { readText } from "../../server/corpus.ts";
import { EXIT, UserError } from "../../server/errors.ts";
import { parseCount } from "../../server/options.ts";
import { compareInBrowser } from "./in-browser.ts";

const USAGE = "npm run bench -- precision [--browser chromium|firefox] [--gpu] [--steps N]";
const DEFAULT_STEPS = "200";
/** Lines of losses in the table. */
const SHOWN = 4;

/** @throws UserError naming the word that is not understood, or that the GPU has no f16 */
export async function comparePrecisions(args: string[]): Promise<void> {
  const { browser, gpu, steps } = options(args);
  const config = RunConfig.parse({ ...demo, steps });
  const job = { config, text: await readText(config.data.text) };
  const say = (line: string) => console.error(line);
  const { hasHalves, losses, validation, seconds } = await compareInBrowser(browser, job, { say, gpu });
  if (!hasHalves)
    throw new UserError(
      "this browser's GPU lacks shader-f16: nothing to compare; try --browser firefox",
      EXIT.noGpu,
    );
  const row = (name: string, { f32, f16 }: { f32: number; f16: number }) =>
    console.log(
      `${name}: ${f32.toFixed(4)} with f32, ${f16.toFixed(4)} with f16, difference ${(f16 - f32).toFixed(5)}`,
    );
  for (let i = 1; i <= SHOWN; i++) {
    const step = Math.max(1, Math.round((steps * i) / SHOWN));
    row(`training loss of step ${step}`, losses[step - 1]!);
  }
  row("validation loss", validation);
  row("seconds a step, median", seconds);
  const largest = Math.max(...losses.map(({ f32, f16 }) => Math.abs(f16 - f32)));
  console.log(`largest difference of a step's loss: ${largest.toFixed(5)}`);
}

function options(args: string[]) {
  const value = { type: "string" } as const;
  let words;
  try {
    words = parseArgs({ args, options: { browser: value, steps: value, gpu: { type: "boolean" } } }).values;
  } catch (error) {
    const [what] = (error as Error).message.split(/[.\n]/);
    throw new UserError(`${what}: ${USAGE}`);
  }
  const { browser = "chromium", gpu = false, steps = DEFAULT_STEPS } = words;
  if (browser !== "chromium" && browser !== "firefox")
    throw new UserError(`--browser is '${browser}': use chromium or firefox`);
  return { browser, gpu, steps: parseCount("--steps", steps, 1, 100_000) } as const;
}
