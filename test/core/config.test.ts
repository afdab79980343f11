// What a user or another machine may send in: runs' configurations and control messages, and how refusals read.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeIssues, RunConfig } from "../../core/model/config.ts";
import demo from "../../core/model/demo.json" with { type: "json" };
import {
  ClientMessage,
  MAX_CONTROL_BYTES,
  parseControl,
  ViewerMessage,
  WorkerMessage,
} from "../../core/protocol/control.ts";

/** The lines a user reads for the demo's configuration with `changes`. */
function linesFor(changes: object): string[] {
  const { success, error } = RunConfig.safeParse({ ...demo, ...changes });
  return success ? [] : describeIssues(error);
}

const model = (changes: object) => ({ model: { ...demo.model, ...changes } });

describe("RunConfig", () => {
  test("takes the demo's configuration, and fills in Llama's constants and what is off by default", () => {
    const config = RunConfig.parse(demo);
    expect(config).toEqual({
      ...demo,
      model: { ...demo.model, ropeTheta: 10000, normEps: 1e-5 },
      siteGradients: "f32",
      recompute: false,
      precision: "f32",
      keepCheckpoints: 3,
    });
  });

  test("refuses unknown keys, naming each with its path", () => {
    expect(linesFor({ batchSize: 4 })).toEqual([
      "unknown key 'batchSize'; remove it or correct its spelling",
    ]);
    expect(linesFor({ model: { ...demo.model, headz: 4, n: 1 } })).toEqual([
      "unknown key 'model.headz', 'model.n'; remove it or correct its spelling",
    ]);
  });

  test("refuses every missing key, naming it", () => {
    for (const key of Object.keys(demo)) {
      const { [key]: _, ...rest } = demo as Record<string, unknown>;
      const { error } = RunConfig.safeParse(rest);
      expect(describeIssues(error!)).toEqual([expect.stringMatching(`^${key}: `)]);
    }
  });

  test.each<[object, string]>([
    [model({ width: 66 }), "model.width: width must be a multiple of heads"],
    [
      model({ width: 24 }),
      "model.heads: width / heads must be a multiple of 4: attention reads four values at a time",
    ],
    [model({ kvHeads: 3 }), "model.kvHeads: heads must be a multiple of kvHeads"],
    [{ microbatch: 3 }, "microbatch: batch must be a multiple of microbatch"],
    [{ stages: 5 }, "stages: stages cannot be more than model.layers"],
    [{ keepCheckpoints: "most" }, "keepCheckpoints: use 'all' or a number of checkpoints"],
    [{ batch: 1e9 }, "batch: give at most 131072"],
    [model({ layers: 1e9 }), "model.layers: give at most 1024"],
    [{ name: "a b" }, "name: use letters, digits and '-', 40 at most"],
  ])("%j is refused with the reason", (changes, line) => {
    expect(linesFor(changes)).toContain(line);
  });

  test.each([
    [{ seed: -1 }, "seed"],
    [{ seed: 1.5 }, "seed"],
    [{ steps: 0 }, "steps"],
    [{ batch: "16" }, "batch"],
    [{ stages: "many" }, "stages"],
    [{ init: "" }, "init"],
    [{ data: { ...demo.data, valid: 1 } }, "data.valid"],
    [{ optimizer: { ...demo.optimizer, beta2: 1 } }, "optimizer.beta2"],
    [{ optimizer: { ...demo.optimizer, lr: 0 } }, "optimizer.lr"],
    [{ strategy: { kind: "gossip" } }, "strategy.kind"],
    [{ activations: "f64" }, "activations"],
    [{ recompute: "yes" }, "recompute"],
    [{ precision: "int8" }, "precision"],
    [model({ vocab: Infinity }), "model.vocab"],
    [model({ hidden: 190 }), "model.hidden"],
  ])("%j is refused under the key it is about", (changes, key) => {
    expect(linesFor(changes)).toEqual([expect.stringMatching(`^${key}: `)]);
  });

  test("several problems are several lines", () => {
    expect(linesFor({ steps: 0, batch: 0 })).toHaveLength(2);
  });
});

/** Why a message from the server is refused; null when it is not. */
function reasonFor(data: string): string | null {
  const parsed = parseControl(WorkerMessage, data);
  return parsed.ok ? null : parsed.reason;
}

describe("parseControl", () => {
  const step = { type: "step", generation: 1, step: 2 };

  test("gives the message", () => {
    expect(parseControl(WorkerMessage, JSON.stringify(step))).toEqual({ ok: true, message: step });
  });

  test("says in one line why a message is refused", () => {
    expect(reasonFor("{type")).toBe("message is not JSON");
    expect(reasonFor("")).toBe("message is not JSON");
    expect(reasonFor("null")).toMatch(/^message refused: /);
    expect(reasonFor(`"${"x".repeat(MAX_CONTROL_BYTES)}"`)).toBe(
      "message of 65538 characters is over the limit of 65536",
    );
    expect(reasonFor(JSON.stringify({ ...step, type: "dance" }))).toMatch(/^message refused: type: /);
    expect(reasonFor(JSON.stringify({ ...step, extra: 1 }))).toBe(
      'message refused: Unrecognized key: "extra"',
    );
    expect(reasonFor(JSON.stringify({ ...step, step: -1 }))).toMatch(/^message refused: step: /);
    expect(reasonFor(JSON.stringify({ type: "step", step: 1 }))).toMatch(/^message refused: generation: /);
  });

  test("never throws, and every refusal is one short line", () => {
    const schemas = [ClientMessage, WorkerMessage, ViewerMessage];
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.json(),
          fc.record({ type: fc.constantFrom("join", "ready", "assign"), x: fc.json() }),
        ),
        (data) => {
          const text = typeof data === "string" ? data : JSON.stringify(data);
          for (const schema of schemas) {
            const parsed = parseControl<unknown>(schema, text);
            if (parsed.ok) continue;
            expect(parsed.reason.length).toBeLessThanOrEqual(500);
            expect(parsed.reason).not.toContain("\n");
          }
        },
      ),
    );
  });
});
