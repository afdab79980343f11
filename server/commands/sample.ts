// tributary sample: continues a text.
import type { CAC } from "cac";
import { UserError } from "../errors.ts";
import { openModelDirectory, sample } from "../model-page.ts";
import { parseCount } from "../options.ts";

interface Options {
  prompt?: string;
  tokens: string;
  temperature: string;
  seed: string;
}

export function register(cli: CAC): void {
  cli
    .command("sample <directory>", "Continue a text with a model in a Hugging Face directory")
    .option("--prompt <text>", "The text to continue")
    .option("--tokens <n>", "Tokens to add", { default: "100" })
    .option("--temperature <x>", "0 takes the likeliest token each time", { default: "0.8" })
    .option("--seed <n>", "Seed of the draws", { default: "1" })
    .action(continueText);
}

async function continueText(path: string, options: Options): Promise<void> {
  const { prompt } = options;
  if (!prompt) throw new UserError("give the text to continue with --prompt");
  const temperature = Number(options.temperature);
  if (!(temperature >= 0))
    throw new UserError(`--temperature is '${options.temperature}': give a number from 0 up`);
  const directory = await openModelDirectory(path);
  const ids = directory.tokenizer.encode(prompt);
  const added = await sample(directory, {
    prompt: ids,
    tokens: parseCount("--tokens", options.tokens, 1, 100_000),
    temperature,
    seed: parseCount("--seed", options.seed, 0, 0xffffffff),
  });
  console.log(directory.tokenizer.decode([...ids, ...added]));
}
