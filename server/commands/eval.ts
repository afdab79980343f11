// tributary eval: the loss of a model on a text.
import type { CAC } from "cac";
import { readText } from "../corpus.ts";
import { UserError } from "../errors.ts";
import { evaluate, openModelDirectory } from "../model-page.ts";
import { parseCount } from "../options.ts";

interface Options {
  text?: string;
  context?: string;
  json?: boolean;
}

export function register(cli: CAC): void {
  cli
    .command("eval <directory>", "Score a text with a model in a Hugging Face directory")
    .option("--text <file>", "File, folder or package with the text")
    .option("--context <n>", "Tokens a window; the model's own context unless given")
    .option("--json", "Print one JSON object")
    .action(evaluateText);
}

async function evaluateText(path: string, { text: name, context, json = false }: Options): Promise<void> {
  if (!name) throw new UserError("give the text to score with --text");
  const directory = await openModelDirectory(path);
  const { model, tokenizer } = directory;
  const T = context === undefined ? model.context : parseCount("--context", context, 1, model.context);
  const text = await readText(name);
  const tokens = Uint32Array.from(tokenizer.encode(text));
  if (tokens.length < 2)
    throw new UserError(`'${name}' has ${tokens.length} token: give a text of at least 2`);
  const { lossSum, tokens: scored } = await evaluate(
    { ...directory, model: { ...model, context: T } },
    tokens,
  );
  const nll = lossSum / scored;
  const bytes = new TextEncoder().encode(text).length;
  const bitsPerByte = lossSum / Math.LN2 / bytes;
  if (json) console.log(JSON.stringify({ nll, tokens: scored, bitsPerByte }));
  else
    console.log(
      `${nll.toFixed(4)} nats a token over ${scored} tokens, ${bitsPerByte.toFixed(4)} bits a byte`,
    );
}
