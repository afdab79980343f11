// States that move between workers whose plans cut the model differently, on real stages: all arrays, to the bit.
import { expect, test, vi } from "vitest";
import type { RunConfig } from "../../core/model/config.ts";
import { parameterSpace, stageRange, borrowsEmbedding } from "../../core/model/parameters.ts";
import { stageSpecOf } from "../../core/plan/memory.ts";
import { holdersOf, movesTo } from "../../core/plan/moves.ts";
import { makePlan } from "../../core/plan/partition.ts";
import type { Plan } from "../../core/plan/plan.ts";
import { decodeFrame, frameKind } from "../../core/protocol/frame.ts";
import { Random } from "../../core/random.ts";
import { UnsaidGradients } from "../../core/reduce/error-feedback.ts";
import { OuterState } from "../../core/reduce/outer.ts";
import { Stage } from "../../web/engine/stage.ts";
import { Channel } from "../../web/worker/channel.ts";
import { answerWanted, arraysBeside, HeldState } from "../../web/worker/held-state.ts";
import { GenerationEnded } from "../../web/worker/mailbox.ts";
import { takeState } from "../../web/worker/take-state.ts";
import { roundsStrategy, tinyConfig } from "../fixtures/configs.ts";
import { gpu } from "./device.ts";

const STEP = 7;
const ON_GPU = ["parameters", "m", "v"] as const;

/** Its embedding takes more than one piece, and is borrowed by the last stage. */
const configOf = (strategy: RunConfig["strategy"]) =>
  tinyConfig({ strategy, model: { ...tinyConfig().model, vocab: 9000, tied: true } });

const planOf = (config: RunConfig, stages: number): Plan =>
  makePlan({ ...config, stages }, new Map([["a", ["a-1", "a-2", "a-3"].slice(0, stages)]]));

/** A plan's stages, empty. */
async function stagesOf(config: RunConfig, plan: Plan) {
  const [replica] = plan.replicas;
  const made = replica!.stages.map(async ({ worker, first, last }, i) => {
    const stage = await Stage.create(gpu, stageSpecOf(config, replica!, i));
    const isRounds = config.strategy.kind === "rounds";
    const unsaid = new UnsaidGradients(stage.segment);
    const outer = isRounds ? new OuterState(stage.segment, unsaid) : null;
    const borrows = borrowsEmbedding(config.model, stageRange(config.model, first, last));
    return { worker, stage, outer, unsaid, borrows };
  });
  return Promise.all(made);
}

type Made = Awaited<ReturnType<typeof stagesOf>>[number];

/** Every array that a stage holds, by name. */
async function contentsOf({ stage, ...beside }: Made): Promise<Map<string, Float32Array>> {
  const onGpu = await Promise.all(ON_GPU.map(async (what) => [what, await stage.read(what)] as const));
  return new Map([...onGpu, ...Object.entries(arraysBeside(beside))]);
}

/** The workers' ends of links that hand frames over; a worker answers from what it keeps. */
function connected(held: ReadonlyMap<string, HeldState>, generation: number) {
  const channels = new Map<string, Channel>();
  return (self: string): Channel => {
    const channel = new Channel(1, generation, (to, frame) => {
      if (frameKind(frame) !== "wanted") return channels.get(to)!.deliver(self, frame);
      channel.deliver(to, answerWanted(held.get(to) ?? null, decodeFrame(frame)));
    });
    channels.set(self, channel);
    return channel;
  };
}

test.each([
  { name: "sync, with error feedback", strategy: { kind: "sync", gradients: "int4" } as const, cuts: [2, 3] },
  { name: "rounds", strategy: roundsStrategy(), cuts: [3, 2] },
])("a plan of other cuts takes everything: $name", async ({ strategy, cuts }) => {
  const config = configOf(strategy);
  const [before, after] = cuts.map((stages) => planOf(config, stages)) as [Plan, Plan];
  const { size, tensors } = parameterSpace(config.model);
  const random = new Random(3);
  /** The whole model's arrays, by name. */
  const whole = new Map<string, Float32Array>();
  const held = new Map<string, HeldState>();
  for (const made of await stagesOf(config, before)) {
    const { start, end } = made.stage.segment;
    const beside = new Map(Object.entries(arraysBeside(made)));
    for (const name of [...ON_GPU, ...beside.keys()]) {
      if (!whole.has(name))
        whole.set(
          name,
          Float32Array.from({ length: size }, () => random.unit()),
        );
      const values = whole.get(name)!.slice(start, end);
      if (beside.has(name)) beside.get(name)!.set(values);
      else made.stage.write(name as "m", values, start);
    }
    held.set(made.worker, await HeldState.of(made, { run: 1, generation: 1 }));
    made.stage.destroy();
  }
  expect(whole.size).toBe(strategy.kind === "rounds" ? 7 : 5);
  const { takes } = movesTo(config, after, holdersOf(config, before))!;
  const channelOf = connected(held, 2);
  for (const made of await stagesOf(config, after)) {
    const { worker: self, stage } = made;
    const borrowed = vi.spyOn(stage, "writeEmbedding");
    await takeState(made, {
      self,
      model: config.model,
      step: STEP,
      takes: takes.get(self)!,
      held: held.get(self) ?? null,
      channel: channelOf(self),
    });
    const { start, end } = stage.segment;
    const contents = await contentsOf(made);
    expect([...contents.keys()].sort()).toEqual([...whole.keys()].sort());
    for (const [name, values] of contents) {
      expect(equal(values, whole.get(name)!.subarray(start, end)), `${name} of ${self}`).toBe(true);
    }
    const [[embedding] = []] = borrowed.mock.calls;
    expect(embedding !== undefined).toBe(made.borrows);
    const wanted = whole.get("parameters")!.subarray(0, tensors[0]!.size);
    if (embedding) expect(equal(embedding, wanted)).toBe(true);
    stage.destroy();
  }
});

const equal = (a: Float32Array, b: Float32Array): boolean =>
  a.length === b.length && a.every((value, i) => value === b[i]);

test("who keeps nothing, a link that breaks and the generation's end all end the taking", async () => {
  const config = configOf({ kind: "sync", gradients: "f32" });
  const [one] = await stagesOf(config, planOf(config, 1));
  const { start, end } = one!.stage.segment;
  const take = (channel: Channel) =>
    takeState(one!, {
      self: "a-1",
      model: config.model,
      step: STEP,
      takes: [{ what: "trained", from: "a-2", start, end }],
      held: null,
      channel,
    });
  const refused = take(connected(new Map(), 1)("a-1"));
  await expect(refused).rejects.toThrow("worker a-2 does not keep the state it was to give");
  const silent = new Channel(1, 1, () => {});
  const cut = take(silent);
  silent.lose("a-3", "another one's");
  silent.lose("a-2", "its page was closed");
  await expect(cut).rejects.toThrow("the link to worker a-2 broke: its page was closed");
  const ended = take(silent);
  silent.close("the run was stopped");
  await expect(ended).rejects.toThrow(GenerationEnded);
  one!.stage.destroy();
});

test("what is asked for is given only where it is kept: of the run, the segment and the arrays there are", async () => {
  const config = configOf({ kind: "sync", gradients: "f32" });
  const [first, last] = await stagesOf(config, planOf(config, 2));
  const { start, end } = last!.stage.segment;
  last!.stage.write(
    "m",
    Float32Array.from({ length: end - start }, (_, i) => i),
    start,
  );
  const held = await HeldState.of({ ...last!, unsaid: null }, { run: 1, generation: 1 });
  const asked = {
    kind: "wanted",
    run: 1,
    generation: 2,
    step: STEP,
    microbatch: 1,
    segment: start,
    dtype: "u32",
    shape: [3, 0, 0],
    payload: new Uint8Array(),
  } as const;
  const answer = (change: object = {}) => {
    const { kind, generation, payload } = decodeFrame(answerWanted(held, { ...asked, ...change }));
    expect({ kind, generation }).toEqual({ kind: "state", generation: 2 });
    return [...new Float32Array(payload.slice().buffer)];
  };
  expect(answer()).toEqual([0, 1, 2]);
  expect(answer({ segment: end - 3 })).toEqual([0, 1, 2].map((i) => end - start - 3 + i));
  for (const change of [{ run: 2 }, { segment: start - 1 }, { segment: end - 2 }]) {
    expect(answer(change)).toEqual([]);
  }
  // `sync` without error feedback has neither an anchor nor anything unsaid; and there is no array 99.
  for (const microbatch of [3, 5, 99]) expect(answer({ microbatch })).toEqual([]);
  first!.stage.destroy();
  last!.stage.destroy();
});
