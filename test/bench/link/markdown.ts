// The tables of docs/benchmarks.md that are about links.
import { duration } from "../markdown.ts";
import { describeNetwork } from "../network.ts";
import { median } from "../statistics.ts";
import type { LinkResult } from "./result.ts";

const NAMES = {
  link: "wide link",
  channel: "one bare data channel",
  websocket: "WebSocket through the server",
} as const;

export function renderLinkResult({ runtime, date, processor, network, bytes, rows }: LinkResult): string {
  const where = network ? describeNetwork(network) : "loopback";
  const websocket = rows.find(({ way }) => way === "websocket");
  const lines = rows.map(({ way, first, seconds, lanes }) => {
    const middle = median(seconds);
    const share = websocket ? `${((100 * median(websocket.seconds)) / middle).toFixed(0)} %` : "";
    const cells = [
      NAMES[way],
      duration(middle),
      `${duration(Math.min(...seconds))}–${duration(Math.max(...seconds))}`,
      seconds.length,
      (bytes / middle / 1e6).toPrecision(3),
      share,
      lanes.slice(first.length).join(" "),
      first.map(duration).join(", "),
    ];
    return `| ${cells.join(" | ")} |`;
  });
  return [
    `## link: ${runtime}, ${where}`,
    `${date}; ${processor}. One transfer of ${(bytes / 2 ** 20).toFixed(0)} MiB between pages of two browsers, until the other page says it has all.`,
    [
      "| way | median | min–max | samples | MB/s | of the WebSocket | connections open | first transfers |",
      "| --- | --- | --- | --- | --- | --- | --- | --- |",
      ...lines,
    ].join("\n"),
  ].join("\n\n");
}
