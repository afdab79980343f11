// One experiment in a browser.
import { z } from "zod";
import { RunConfig } from "../../../core/model/config.ts";
import { runInPage } from "../in-page.ts";
import { train } from "./train.ts";

const Job = z.strictObject({ config: RunConfig, sites: z.number().int(), validFrom: z.number().int() });

await runInPage(Job, async ({ config, sites, validFrom }, say) => {
  const tokens = new Uint8Array(await (await fetch("/bytes")).arrayBuffer());
  return train({
    config,
    sites,
    tokens: { train: tokens.subarray(0, validFrom), valid: tokens.subarray(validFrom) },
    onPoint: ({ step, loss }) => say(`  step ${step}  ${loss.toFixed(4)}`),
  });
});
