// A worker's links in a generation: when one that breaks is opened anew, and when it is a loss.
import { beforeEach, describe, expect, test, vi } from "vitest";
import { makePlan } from "../../core/plan/partition.ts";
import type { PlannedLink } from "../../core/plan/plan.ts";
import { PeerLinks } from "../../web/worker/peer-links.ts";
import { tinyConfig } from "../fixtures/configs.ts";

/** a-1 is linked to b-1 by the plan; c-1 may have a state for it. */
const plan = makePlan(
  tinyConfig({ stages: 1 }),
  new Map([
    ["a", ["a-1"]],
    ["b", ["b-1"]],
  ]),
);
const moving: PlannedLink[] = [{ initiator: "c-1", other: "a-1", kind: "wide" }];

const connect = vi.fn<(links: readonly PlannedLink[]) => Promise<void>>();
const send = vi.fn<(to: string, frame: ArrayBuffer) => Promise<void>>();
const onLost = vi.fn<(generation: number, why: unknown) => void>();
const onBroken = vi.fn<(peer: string, reason: string) => void>();
const opened = () =>
  connect.mock.calls.map(([links]) => links.flatMap(({ initiator, other }) => [initiator, other]));
let links: PeerLinks;

beforeEach(() => {
  for (const mock of [connect, send, onLost, onBroken])
    mock.mockReset().mockResolvedValue(undefined as never);
  links = new PeerLinks({ self: "a-1", switchboard: { connect, send }, onLost, onBroken });
});

test("the plan's links are opened, and those on which states move", async () => {
  expect(await links.begin(3, plan, moving)).toBe(true);
  expect(opened()).toEqual([expect.arrayContaining(["a-1", "b-1", "c-1"])]);
});

test("that cannot be opened are a loss of the generation they are for", async () => {
  const why = new Error("no way through");
  connect.mockRejectedValue(why);
  expect(await links.begin(3, plan, [])).toBe(false);
  expect(await links.lend(4, moving)).toBe(false);
  expect(onLost.mock.calls).toEqual([
    [3, why],
    [4, why],
  ]);
});

describe("one that breaks", () => {
  test("before the first step is opened anew where the plan needs it", async () => {
    await links.begin(3, plan, moving);
    links.broke("b-1", "gone");
    expect(opened()).toHaveLength(2);
    expect(onBroken.mock.calls).toEqual([["b-1", "gone"]]);
    expect(onLost).not.toHaveBeenCalled();
  });

  test("and that was for a state is not opened again", async () => {
    await links.begin(3, plan, moving);
    links.broke("c-1", "gone");
    expect(opened()).toHaveLength(1);
    links.broke("b-1", "gone");
    expect(opened()[1]).not.toContain("c-1");
    expect(onBroken.mock.calls.map(([peer]) => peer)).toEqual(["c-1", "b-1"]);
  });

  test("after it is a loss where the plan needs it, and else nothing", async () => {
    await links.begin(3, plan, moving);
    links.step();
    links.broke("c-1", "gone");
    expect(onLost).not.toHaveBeenCalled();
    send.mockRejectedValue(new Error("no link to worker b-1"));
    links.send("b-1", new ArrayBuffer(1));
    await vi.waitFor(() => expect(onLost.mock.calls).toEqual([[3, expect.stringContaining("link to b-1")]]));
    expect(onBroken).not.toHaveBeenCalled();
    expect(opened()).toHaveLength(1);
  });

  test("while others take what is kept concerns those who wait for it, and in no generation nobody", async () => {
    await links.begin(3, plan, []);
    links.step();
    links.keep();
    links.broke("b-1", "gone");
    await links.lend(4, moving);
    links.broke("c-1", "gone");
    links.end();
    links.step();
    links.broke("c-1", "gone");
    expect(onBroken.mock.calls.map(([peer]) => peer)).toEqual(["b-1", "c-1"]);
    expect(onLost).not.toHaveBeenCalled();
  });
});

test("what is on its way is waited for, but not what the generation before had sent", async () => {
  let taken = () => {};
  send.mockImplementation(() => new Promise<void>((resolve) => (taken = resolve)));
  await links.begin(3, plan, []);
  links.send("b-1", new ArrayBuffer(1));
  await links.begin(4, plan, []);
  expect(links.isSending).toBe(false);
  links.send("b-1", new ArrayBuffer(1));
  expect(links.isSending).toBe(true);
  const sent = links.sent();
  taken();
  await sent;
  expect(links.isSending).toBe(false);
});
