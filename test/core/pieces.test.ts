// What is too long for a frame goes in pieces, and the codes are those of the whole.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { tinyConfig } from "../fixtures/configs.ts";
import { memoryNetwork } from "../fixtures/memory-network.ts";
import { sampleValues } from "../fixtures/samples.ts";
import { makePlan } from "../../core/plan/partition.ts";
import { decodeFrame } from "../../core/protocol/frame.ts";
import { encode, type Codec } from "../../core/reduce/codec.ts";
import { PIECE, piecesOf } from "../../core/reduce/pieces.ts";
import { gatherAcrossSites, sumAcrossSites } from "../../core/reduce/sum-across-sites.ts";
import { SiteSum } from "../../core/reduce/sum-in-site.ts";
import { Channel } from "../../web/worker/channel.ts";

const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView) =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** Two sites of one worker each, or a site of two replicas. */
const pair = (sites: readonly string[]) =>
  makePlan(
    tinyConfig({ stages: 1 }),
    new Map(sites.map((site) => [site, sites.length > 1 ? [site] : ["a", "b"]])),
  );

test("pieces cover a range without a gap, none larger than it may be", () => {
  fc.assert(
    fc.property(fc.nat(2 ** 31), fc.nat(5 * PIECE), (start, size) => {
      const pieces = piecesOf({ start, end: start + size });
      let at = start;
      for (const piece of pieces) {
        expect(piece.start).toBe(at);
        expect(piece.end).toBeGreaterThan(at);
        expect(piece.end - piece.start).toBeLessThanOrEqual(PIECE);
        at = piece.end;
      }
      expect(at).toBe(start + size);
    }),
  );
});

describe("a range of more than a piece", () => {
  const segment = { start: 128, end: 128 + 2 * (PIECE + 100) };
  const size = segment.end - segment.start;
  const names = ["a", "b"];
  const sitesOf = (workers: readonly string[], shares: readonly number[]) => ({
    holdings: workers.map((worker) => [{ worker, segment }]),
    shares,
  });

  /** What `a` said of kind `kind`, joined, and the longest that anyone sent. */
  function said({ sent }: Pick<ReturnType<typeof memoryNetwork>, "sent">, kind: string) {
    const own = sent.filter((one) => one.from === "a" && one.kind === kind);
    const inOrder = own.toSorted((one, other) => one.offset - other.offset);
    return {
      bytes: Buffer.concat(inOrder.map(({ values }) => values.bytes)),
      longest: Math.max(...sent.map(({ values }) => values.count)),
    };
  }

  test.each<Codec>(["f32", "int8", "int4"])("is summed across sites in pieces: %s", async (codec) => {
    const three = [...names, "c"];
    const sites = sitesOf(three, [0, 1, 0]);
    const network = memoryNetwork(pair(three));
    const values = three.map((_, seed) => sampleValues("normal", size, seed));
    const whole = bytesOf(encode(codec, values[0]!.slice()));
    await Promise.all(
      three.map((worker, i) =>
        sumAcrossSites(sites, worker, segment, values[i]!, { codec }, network.transport(worker)),
      ),
    );
    const { bytes, longest } = said(network, "reduce");
    expect(longest).toBe(PIECE);
    expect(bytes.equals(whole)).toBe(true);
    for (const others of values.slice(1)) expect(bytesOf(others).equals(bytesOf(values[0]!))).toBe(true);
  });

  test.each<Codec>(["f32", "int4", "topk", "sign"])("is gathered in pieces: %s", async (codec) => {
    const sites = sitesOf(names, [0.5, 0.5]);
    const network = memoryNetwork(pair(names));
    const values = names.map((_, seed) => sampleValues("normal", size, seed));
    const whole = bytesOf(encode(codec, values[0]!.slice()));
    await Promise.all(
      names.map((worker, i) => {
        const feedback = { terms: new Float32Array(size), sums: new Float32Array(size) };
        const terms = { codec, weight: 1, feedback };
        return gatherAcrossSites(sites, worker, segment, values[i]!, terms, network.transport(worker));
      }),
    );
    const { bytes, longest } = said(network, "reduce");
    expect(longest).toBe(PIECE);
    expect(bytes.equals(whole)).toBe(true);
    expect(bytesOf(values[0]!).equals(bytesOf(values[1]!))).toBe(true);
  });

  test("is summed over a site's replicas in pieces", async () => {
    const network = memoryNetwork(pair(["s"]));
    const values = names.map((_, seed) => sampleValues("normal", size, seed));
    const sum = values[0]!.map((value, i) => value + values[1]![i]!);
    const half = segment.start + size / 2;
    await Promise.all(
      names.map(async (worker, self) => {
        const parts = [
          { segment: { start: segment.start, end: half }, holders: names, taker: 0 },
          { segment: { start: half, end: segment.end }, holders: names, taker: 1 },
        ].map((part) => ({
          ...part,
          values: values[self]!.subarray(
            part.segment.start - segment.start,
            part.segment.end - segment.start,
          ),
        }));
        const site = new SiteSum(self, parts, "f32", network.transport(worker));
        await site.reduceScatter();
        await site.allGather({ leadHasAll: false });
      }),
    );
    expect(said(network, "reduce").longest).toBe(PIECE);
    for (const each of values) expect(bytesOf(each).equals(bytesOf(sum))).toBe(true);
  });

  test("goes over a channel in frames of a piece", async () => {
    const channels = new Map<string, Channel>();
    const counts: number[] = [];
    for (const name of names) {
      const deliver = (to: string, frame: ArrayBuffer) => {
        counts.push(decodeFrame(frame).shape[0]);
        channels.get(to)!.deliver(name, frame);
      };
      channels.set(name, new Channel(1, 1, deliver));
    }
    const values = sampleValues("normal", size, 1);
    const came = new Float32Array(size);
    channels.get("a")!.sendSegment("b", "parameters", { step: 1 }, segment, values);
    await channels
      .get("b")!
      .receiveSegment("a", "parameters", { step: 1 }, segment, (piece, start) =>
        came.set(piece, start - segment.start),
      );
    expect(Math.max(...counts)).toBe(PIECE);
    expect(bytesOf(came).equals(bytesOf(values))).toBe(true);
  });
});

test("values that are fewer, or more, than are due are refused", async () => {
  const receiver = new Channel(1, 1, () => {});
  const sender = new Channel(1, 1, (_, frame) => receiver.deliver("a", frame));
  for (const [offset, came] of [
    [0, 3],
    [8, 5],
    [16, 0],
  ] as const) {
    sender.send("b", "result", { step: 1, segment: offset }, new Float32Array(came));
    const sums = receiver.segments(1).receive("a", "result", offset, 4);
    await expect(sums).rejects.toThrow(`worker a sent ${came} values in a result frame where 4 were due`);
  }
  sender.send("b", "result", { step: 1, segment: 24 }, Float32Array.of(1, 2, 3, 4));
  expect([...(await receiver.segments(1).receive("a", "result", 24, 4))]).toEqual([1, 2, 3, 4]);
});
