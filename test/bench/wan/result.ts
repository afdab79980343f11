// What docs/benchmarks/wan-*.json holds, and how it is shown.
import { z } from "zod";
import { DoneEvent } from "../../../core/protocol/events.ts";
import { duration } from "../markdown.ts";
import { describeNetwork, Network } from "../network.ts";

export const WanResult = z.strictObject({
  command: z.literal("wan"),
  runtime: z.string(),
  date: z.iso.date(),
  processor: z.string(),
  network: Network,
  /** A run each. */
  rows: z.array(
    z.strictObject({
      strategy: z.string(),
      steps: z.number().int().positive(),
      /** Of all steps together. */
      seconds: z.number().positive(),
      ...DoneEvent.pick({ loss: true, computing: true, overlapped: true, wideBytes: true }).shape,
    }),
  ),
});
export type WanResult = z.infer<typeof WanResult>;

export function renderWanResult({ runtime, date, processor, network, rows }: WanResult): string {
  const percent = (share: number | null) => (share === null ? "" : `${(100 * share).toFixed(1)} %`);
  const lines = rows.map(({ strategy, steps, seconds, loss, computing, overlapped, wideBytes }) => {
    const cells = [
      strategy,
      steps,
      duration(seconds / steps),
      percent(computing),
      percent(overlapped),
      (wideBytes / 1e6).toPrecision(4),
      loss?.toFixed(4),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `## wan: two sites, ${describeNetwork(network)}`,
    `${date}; ${processor}; ${runtime}, SwiftShader. A worker of 1.2 GFLOP/s (paced, as both share the processor) in each of two network namespaces, the server in a third; the demo's model with a batch of 32. "At work" is the share of wall-clock in which workers compute, "hidden" the share of the time of exchanges between sites in which they do so.`,
    [
      "| strategy | steps | a step | at work | hidden | MB between sites | training loss |",
      "| --- | --- | --- | --- | --- | --- | --- |",
      ...lines,
    ].join("\n"),
  ].join("\n\n");
}
