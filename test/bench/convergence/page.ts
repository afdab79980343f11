// One experiment in a browser.
import { z } from "zod";
import { RunConfig } from "../../../core/model/config.ts";
import { runInPage } from "../in-page.ts";
import { train } from "./train.ts";

const Job = z.strictObject({ config: RunConfig, sites: z.number().int() });

await runInPage(Job, async ({ config, sites }, say) => {
  const file = async (name: string) => new Uint8Array(await (await fetch(`/files/${name}`)).arrayBuffer());
  return train({
    config,
    sites,
    start: config.init === null ? null : await file("start"),
    tokens: { train: await file("train"), valid: await file("valid") },
    onPoint: ({ step, loss }) => say(`  step ${step}  ${loss.toFixed(4)}`),
  });
});
