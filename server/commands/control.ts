// tributary status, pause, resume, stop: a run on a server, by its id.
import type { CAC } from "cac";
import { z } from "zod";
import { callServer } from "../client.ts";
import { parseServer } from "../options.ts";

interface Options {
  server?: string;
  token?: string;
}

const Status = z.looseObject({
  id: z.string(),
  status: z.string(),
  step: z.number(),
  checkpoint: z.string().nullable(),
  config: z.looseObject({ steps: z.number() }),
  events: z.array(z.looseObject({ event: z.string() })),
});

const WISHES = {
  pause: "Hold a run after its step",
  resume: "Let a paused run go on",
  stop: "Save a run and end it",
};

export function register(cli: CAC): void {
  const command = (name: string, description: string) =>
    cli
      .command(`${name} <run>`, description)
      .option(
        "--server <url>",
        "Address of the server; the coordinator link that `serve` printed holds the token too",
      )
      .option("--token <token>", "The owner token that `serve` printed");
  command("status", "Say how a run is doing").action(status);
  for (const [wish, description] of Object.entries(WISHES)) {
    command(wish, description).action(async (run: string, options: Options) => {
      await callServer(parseServer(options), "POST", `/api/runs/${run}/${wish}`, z.unknown());
      console.log(`run ${run}: ${wish} done`);
    });
  }
}

async function status(run: string, options: Options): Promise<void> {
  const found = await callServer(parseServer(options), "GET", `/api/runs/${run}`, Status);
  const last = found.events.findLast(({ event }) => event === "step");
  const loss = last ? `, loss ${Number(last.loss).toFixed(4)}` : "";
  console.log(`run ${run}: ${found.status}, step ${found.step} of ${found.config.steps}${loss}`);
  console.log(`latest checkpoint: ${found.checkpoint ?? "none"}`);
}
