// What the coordinator page makes of a run's events.
import { describe, expect, test } from "vitest";
import type { RunEvent, StepEvent } from "../../core/protocol/events.ts";
import { describeEvent } from "../../web/coordinator/describe-event.ts";
import { appendEvent, EVENTS_KEPT, resultsOf, speedOf } from "../../web/coordinator/run-log.ts";

const step = (number: number, loss = 3, seconds = 0.5): StepEvent => ({
  event: "step",
  step: number,
  loss,
  gradNorm: 1,
  tokens: 100,
  seconds,
});
const started: RunEvent = { event: "started", run: "demo-2", parameters: 229_952 };
const recovered = (number: number): RunEvent => ({
  event: "recovered",
  step: number,
  generation: 2,
  reason: "worker b-1 left",
});

describe("appendEvent", () => {
  test("keeps order", () => {
    expect(appendEvent([started, step(1)], step(2))).toEqual([started, step(1), step(2)]);
  });

  test("begins anew when another run starts", () => {
    expect(appendEvent([started, step(1)], { ...started, run: "demo-3" })).toEqual([
      { ...started, run: "demo-3" },
    ]);
  });

  test("drops the oldest past what is kept", () => {
    const full = Array.from({ length: EVENTS_KEPT }, (_, i) => step(i + 1));
    const events = appendEvent(full, step(EVENTS_KEPT + 1));
    expect(events).toHaveLength(EVENTS_KEPT);
    expect(events[0]).toEqual(step(2));
    expect(events.at(-1)).toEqual(step(EVENTS_KEPT + 1));
  });
});

describe("resultsOf", () => {
  test("undoes what a recovery went back over", () => {
    const valid = (number: number): RunEvent => ({ event: "valid", step: number, loss: 3, tokens: 9 });
    const sample = (number: number): RunEvent => ({ event: "sample", step: number, text: "whale" });
    const events = [step(1), valid(1), step(2, 5), sample(2), valid(2), recovered(1), step(2, 4), valid(2)];
    const { steps, validations, samples } = resultsOf(events);
    expect(steps).toEqual([step(1), step(2, 4)]);
    expect(validations).toEqual([valid(1), valid(2)]);
    expect(samples).toEqual([]);
  });

  test("a recovery to step 0 leaves nothing", () => {
    expect(resultsOf([step(1), step(2), recovered(0)]).steps).toEqual([]);
  });
});

describe("speedOf", () => {
  test("has no speed before the first step", () => expect(speedOf([])).toBeNull());

  test("takes the mean over the newest steps only", () => {
    const steps = [step(1, 3, 100), step(2, 3, 1), step(3, 3, 3)];
    expect(speedOf(steps, 2)).toEqual({ tokensPerSecond: 50, secondsPerStep: 2 });
  });
});

describe("describeEvent", () => {
  const words = (event: RunEvent) => describeEvent(event)?.words;

  test("leaves steps to the chart", () => expect(describeEvent(step(1))).toBeNull());

  test("says the rest in sentences", () => {
    expect(words(started)).toBe("Run demo-2 started with 229,952 parameters.");
    expect(words({ event: "valid", step: 60, loss: 2.34567, tokens: 10 })).toBe(
      "Validation loss 2.3457 after step 60.",
    );
    expect(words({ event: "worker", worker: "b-1", site: "b", state: "joined" })).toBe("Worker b-1 joined.");
    expect(words({ event: "paused", paused: false })).toBe("The run was resumed.");
  });

  test("marks what went wrong", () => {
    expect(describeEvent(recovered(4))).toEqual({
      words: "Goes on after step 4: worker b-1 left.",
      details: [],
      wrong: true,
    });
    expect(describeEvent({ event: "failed", message: "too large", cause: "configuration" })?.wrong).toBe(
      true,
    );
    expect(describeEvent({ event: "stopped", step: 3 })?.wrong).toBe(false);
  });

  test("sums up a finished run, also one without a loss", () => {
    const done = describeEvent({
      event: "done",
      run: "demo-2",
      steps: 120,
      loss: null,
      validLoss: 2.2,
      siteBytes: 1_500_000,
      wideBytes: 2000,
      siteBytesBy: {},
      wideBytesBy: {},
      activationBytesNeeded: 0,
      stepsRetried: 1,
      stepsLeftOut: 0,
      byWorker: {},
      computing: null,
      overlapped: null,
      workersLost: 2,
      checkpoint: null,
    });
    expect(done?.details).toEqual([
      "loss –, validation loss 2.2000",
      "site links 1.5 MB, wide links 2.0 kB",
      "steps done again 1, left out 0, workers lost 2",
    ]);
  });
});
