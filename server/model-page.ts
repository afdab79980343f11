// A whole model of a Hugging Face directory on this machine's GPU: opens the model page headless and asks it.
import { createServer } from "node:http";
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { Readable } from "node:stream";
import { getRequestListener } from "@hono/node-server";
import { Hono } from "hono";
import type { Page } from "playwright";
import { fromLlamaConfig, ModelFormatError } from "../core/formats/huggingface.ts";
import type { Tokenizer } from "../core/formats/tokenizer.ts";
import type { ModelConfig } from "../core/model/config.ts";
import type { ModelPage } from "../core/protocol/model-page.ts";
import { launchChromium } from "./browser.ts";
import { loadTokenizer } from "./corpus.ts";
import { EXIT, UserError } from "./errors.ts";
import { ensurePages, servePage } from "./pages.ts";

export interface ModelDirectory {
  readonly path: string;
  readonly model: ModelConfig;
  readonly tokenizer: Tokenizer;
}

/** Reads config.json and the tokenizer; without a tokenizer.json a vocabulary of 256 means bytes. @throws UserError */
export async function openModelDirectory(path: string): Promise<ModelDirectory> {
  const text = await readFile(join(path, "config.json"), "utf8").catch(() => {
    throw new UserError(
      `${path} has no config.json: give a Hugging Face directory, such as one that 'tributary export' wrote`,
    );
  });
  try {
    const model = fromLlamaConfig(JSON.parse(text));
    const hasTokenizer = await stat(join(path, "tokenizer.json")).catch(() => null);
    if (!hasTokenizer && model.vocab !== 256) {
      throw new UserError(`${path} has no tokenizer.json: put the model's tokenizer there`);
    }
    const { tokenizer } = await loadTokenizer(hasTokenizer ? path : "bytes");
    return { path, model, tokenizer };
  } catch (error) {
    if (error instanceof ModelFormatError || error instanceof SyntaxError)
      throw new UserError(`${path}: ${error.message}`);
    throw error;
  }
}

/** Mean loss over the tokens after the first, in windows of the model's context. */
export async function evaluate(
  directory: ModelDirectory,
  tokens: Uint32Array,
): Promise<{ lossSum: number; tokens: number }> {
  return onModelPage(directory, tokens, (page) =>
    page.evaluate(
      (model) =>
        (window as unknown as { tributary: ModelPage }).tributary.evaluate(
          model,
          "/model.safetensors",
          "/tokens",
        ),
      directory.model,
    ),
  );
}

export async function sample(
  directory: ModelDirectory,
  request: { prompt: number[]; tokens: number; temperature: number; seed: number },
): Promise<number[]> {
  return onModelPage(directory, new Uint32Array(), (page) =>
    page.evaluate(
      ({ model, prompt, tokens, temperature, seed }) =>
        (window as unknown as { tributary: ModelPage }).tributary.sample(
          model,
          "/model.safetensors",
          prompt,
          tokens,
          temperature,
          seed,
        ),
      { model: directory.model, ...request },
    ),
  );
}

async function onModelPage<T>(
  directory: ModelDirectory,
  tokens: Uint32Array,
  ask: (page: Page) => Promise<T>,
): Promise<T> {
  const weights = join(directory.path, "model.safetensors");
  if (!(await stat(weights).catch(() => null)))
    throw new UserError(`${directory.path} has no model.safetensors`);
  await ensurePages();
  const app = new Hono();
  app.get("/model.safetensors", (context) =>
    context.body(Readable.toWeb(createReadStream(weights)) as ReadableStream),
  );
  app.get("/tokens", (context) => context.body(new Uint8Array(tokens.buffer as ArrayBuffer)));
  app.get("*", servePage);
  const server = createServer(getRequestListener(app.fetch));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const { browser, context } = await launchChromium();
  try {
    const page = await context.newPage();
    await page.goto(`http://localhost:${(server.address() as AddressInfo).port}/model`);
    await page.waitForFunction(() => "tributary" in window);
    return await ask(page);
  } catch (error) {
    const message = error instanceof Error ? error.message.split("\n")[0]! : String(error);
    throw new UserError(`the model could not be run in the browser: ${message}`, EXIT.noGpu);
  } finally {
    await browser.close();
    server.closeAllConnections();
    server.close();
  }
}
