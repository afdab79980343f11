// One experiment in a browser.
import { z } from "zod";
import { RunConfig } from "../../../core/model/config.ts";
import { runInPage } from "../in-page.ts";
import { holdOut } from "./held-out.ts";
import { train } from "./train.ts";

const Job = z.strictObject({ config: RunConfig, sites: z.number().int() });

await runInPage(Job, async ({ config, sites }, say) => {
  const tokens = new Uint8Array(await (await fetch("/bytes")).arrayBuffer());
  return train({
    config,
    sites,
    tokens: holdOut(tokens, config.data.valid),
    onPoint: ({ step, loss }) => say(`  step ${step}  ${loss.toFixed(4)}`),
  });
});
