// The table of kernel variants by adapter.
import { describe, expect, test } from "vitest";
import type { Gpu } from "../../web/engine/device.ts";
import { isSoftware, tuningFor } from "../../web/engine/tuning.ts";
import { fakeGpu } from "../fixtures/gpus.ts";

const product = { layout: "nt", M: 64, N: 64, K: 64 } as const;
const tiles = (gpu: Gpu) => tuningFor(gpu).matmul(product);

describe("the table", () => {
  test.each([
    ["nvidia", "ampere", 8],
    ["amd", "rdna-3", 8],
    ["apple", "", 8],
    ["intel", "gen-12lp", 4],
    ["intel", "xe-lpg", 4],
    ["intel", "xe-2hpg", 8],
    ["qualcomm", "adreno-7xx", 4],
    ["", "", 8],
    ["constructor", "", 8],
  ])("'%s' '%s': tiles of %d rows an invocation", (vendor, architecture, rows) => {
    expect(tiles(fakeGpu({ vendor, architecture }))).toMatchObject({ kind: "tiled", rows });
  });

  test("a software adapter shares loads where it has subgroups", () => {
    const info = { vendor: "google", architecture: "swiftshader" };
    expect(tiles(fakeGpu(info, ["subgroups"]))).toMatchObject({ kind: "registers", shares: true });
    expect(tiles(fakeGpu(info))).toMatchObject({ kind: "registers", shares: false });
  });

  test("attention goes through workgroup memory where its rows fit", () => {
    const { attention } = tuningFor(fakeGpu({ vendor: "nvidia" }));
    expect(attention(128).share).toBe("workgroup");
    expect(attention(132).share).toBe("none");
  });
});

test.each([
  [{ vendor: "google", architecture: "swiftshader" }, true],
  [{ vendor: "mesa", architecture: "software" }, true],
  [{ vendor: "microsoft", architecture: "warp" }, true],
  [{ vendor: "mesa", description: "llvmpipe (LLVM 19.1)" }, true],
  [{ vendor: "unknown", isFallbackAdapter: true }, true],
  [{ vendor: "intel", description: "Arc (TM) A770" }, false],
  [{ vendor: "nvidia", description: "Warped Reality 9" }, false],
])("%o is software: %s", (info, software) => {
  expect(isSoftware(fakeGpu(info).info)).toBe(software);
});
