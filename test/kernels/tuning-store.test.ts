// The record of searches: found again from IndexedDB, which Node does not have and a browser may refuse.
import { describe, expect, test } from "vitest";
import { set, createStore } from "idb-keyval";
import { Budget, search, type Contender } from "../../web/engine/autotune/search.ts";
import { openTuningRecord, tuningKey } from "../../web/worker/tuning-store.ts";
import { fakeGpu } from "../fixtures/gpus.ts";

const keeps = "indexedDB" in globalThis;
const CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/149.0.0.0 Safari/537.36";

describe("a key", () => {
  const adapter = { vendor: "nvidia", architecture: "ampere" };
  const keyOf = (info: Partial<GPUAdapterInfo>, features: string[], userAgent = CHROMIUM) =>
    tuningKey(fakeGpu(info, features), userAgent);
  const key = keyOf(adapter, ["subgroups", "shader-f16"]);

  test("is the same whatever the order of features and the minor version of the browser", () => {
    expect(keyOf(adapter, ["shader-f16", "subgroups"], CHROMIUM.replace("0.0.0", "0.7.9"))).toBe(key);
  });

  test.each([
    ["adapter", keyOf({ ...adapter, description: "RTX" }, ["subgroups", "shader-f16"])],
    ["features", keyOf(adapter, ["subgroups"])],
    ["browser", keyOf(adapter, ["subgroups", "shader-f16"], CHROMIUM.replace("149", "150"))],
  ])("is another with another %s", (_, other) => expect(other).not.toBe(key));
});

const unused = () => `test ${crypto.randomUUID()}`;

describe.runIf(keeps)("a browser that keeps records", () => {
  test("what was found is found again, and not searched for", async () => {
    const key = unused();
    let runs = 0;
    const contender = (name: string, ms: number): Contender => ({
      name,
      check: async () => true,
      time: async () => {
        runs++;
        return ms;
      },
    });
    const contenders = [contender("table", 2), contender("fast", 1)];
    const entries = [{ key: "one", open: async () => ({ contenders, close: () => {} }) }];
    await search(entries, await openTuningRecord(key), new Budget(1e9));
    const searched = runs;
    const record = await openTuningRecord(key);
    expect(record.best("one")).toBe("fast");
    await search(entries, record, new Budget(1e9));
    expect(runs).toBe(searched);
  });

  test("a candidate that was being tried when the page went is bad", async () => {
    const key = unused();
    await (await openTuningRecord(key)).trying("killer");
    const record = await openTuningRecord(key);
    expect(record.isBad("killer")).toBe(true);
    await record.trying("another");
    await record.done("another", true);
    const later = await openTuningRecord(key);
    expect([later.isBad("killer"), later.isBad("another")]).toEqual([true, false]);
  });

  test("what is not a record is none", async () => {
    const key = unused();
    await set(key, { best: { one: 7 }, bad: [], trying: null }, createStore("tributary-tuning", "records"));
    expect((await openTuningRecord(key)).best("one")).toBeUndefined();
  });
});

test.runIf(!keeps)("without IndexedDB a record lasts as long as the page", async () => {
  const key = unused();
  const record = await openTuningRecord(key);
  await record.settle("one", "fast");
  expect(record.best("one")).toBe("fast");
  expect((await openTuningRecord(key)).best("one")).toBeUndefined();
});
