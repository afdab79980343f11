import { expect, test } from "vitest";
import type { RunView, Snapshot } from "../../core/protocol/events.ts";
import { Metrics } from "../../server/metrics.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const run: RunView = {
  id: "run-1",
  config: tinyConfig(),
  status: "training",
  step: 3,
  siteBytesBy: { activation: 30 },
  wideBytesBy: { reduce: 7 },
  byWorker: {
    "a-1": { siteBytes: 10, wideBytes: 7, computing: 0.9 },
    "a-2": { siteBytes: 20, wideBytes: 0, computing: 0.7 },
  },
  computing: 0.8,
  overlapped: 0.75,
  checkpoint: null,
};

async function linesOf(snapshot: Snapshot): Promise<string[]> {
  const text = await new Metrics(() => snapshot).registry.metrics();
  return text.split("\n").filter((line) => line && !line.startsWith("#"));
}

test("bytes by worker, and the shares of time at work and of exchanges that it hides", async () => {
  expect(await linesOf({ workers: [], run })).toEqual(
    expect.arrayContaining([
      'tributary_worker_channel_bytes{worker="a-1",link="site"} 10',
      'tributary_worker_channel_bytes{worker="a-1",link="wide"} 7',
      'tributary_worker_channel_bytes{worker="a-2",link="site"} 20',
      "tributary_computing_share 0.8",
      "tributary_overlapped_share 0.75",
    ]),
  );
});

test("a share that is not known has no value", async () => {
  const lines = await linesOf({ workers: [], run: { ...run, computing: null, overlapped: null } });
  expect(lines.filter((line) => line.includes("_share"))).toEqual([]);
  expect((await linesOf({ workers: [], run: null })).filter((line) => line.includes("_share"))).toEqual([]);
});
