// Orders as text: what a worker reads is what was meant, and is never more than it reads.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { RunConfig } from "../../core/model/config.ts";
import { Cluster, measuredOf, workersOf } from "../../core/plan/cluster.ts";
import type { Plan } from "../../core/plan/plan.ts";
import { planRun } from "../../core/plan/planner.ts";
import {
  controlText,
  MAX_CONTROL_BYTES,
  MessageTooLong,
  parseControl,
  WorkerMessage,
} from "../../core/protocol/control.ts";
import { tinyConfig } from "../fixtures/configs.ts";

const assignment = (plan: Plan, config = tinyConfig()): WorkerMessage => ({
  type: "assign",
  generation: 1,
  run: "run-1",
  runNumber: 1,
  config,
  plan,
  tokens: { hash: "0".repeat(64), bytesPerToken: 1, count: 1000, validFrom: 900 },
  state: { kind: "seed" },
  links: [],
});

const index = fc.integer({ min: 0, max: 200 });
const replica = fc.record(
  {
    site: fc.string(),
    stages: fc.array(fc.record({ worker: fc.string(), first: index, last: index }), {
      minLength: 1,
      maxLength: 4,
    }),
    microbatches: fc.array(index, { maxLength: 12 }),
    zeroBubble: fc.constant(true as const),
  },
  { requiredKeys: ["site", "stages", "microbatches"], noNullPrototype: true },
);

test("a plan is read as it was told, whichever microbatches its replicas take", () => {
  fc.assert(
    fc.property(fc.array(replica, { minLength: 1, maxLength: 4 }), (replicas) => {
      const message = assignment({ replicas, spare: [] });
      expect(parseControl(WorkerMessage, controlText(message))).toEqual({ ok: true, message });
    }),
  );
});

const scale = (name: string): unknown =>
  JSON.parse(readFileSync(new URL(`../../docs/scale/${name}.json`, import.meta.url), "utf8"));

test("the plan for the thousand workers of docs/scale.md is short enough to be told", () => {
  const cluster = Cluster.parse(scale("1000"));
  const config = RunConfig.parse(scale("run-1000"));
  const { plan } = planRun(config, workersOf(cluster), measuredOf(cluster));
  expect(controlText(assignment(plan, config)).length).toBeLessThan(0.9 * MAX_CONTROL_BYTES);
});

test("one that is too long is not told, and the error says what would help", () => {
  const stages = Array.from({ length: 5000 }, (_, i) => ({ worker: `worker-${i}`, first: i, last: i + 1 }));
  const message = assignment({ replicas: [{ site: "a", stages, microbatches: [0] }], spare: [] });
  expect(() => controlText(message)).toThrow(MessageTooLong);
  expect(() => controlText(message)).toThrow(/the plan for 5000 workers .* Let fewer workers take part/);
});
