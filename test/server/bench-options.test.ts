// The words after `npm run bench --`: what they mean, and what is said of those that mean nothing.
import { expect, test } from "vitest";
import { EXIT, UserError } from "../../server/errors.ts";
import { parseBenchOptions } from "../bench/options.ts";

test("by default all contenders run in Chromium, and the result goes into docs", () => {
  expect(parseBenchOptions(["step"])).toEqual({
    job: {
      command: "step",
      rounds: 5,
      sizes: [512, 1024],
      model: "small",
      contenders: ["ours", "jax", "tfjs", "webgpu-llm"],
    },
    place: "chromium",
    gpu: false,
    out: null,
  });
});

test("each option is read", () => {
  const words = "kernels --browser firefox --repeats 3 --sizes 64,100 --only tfjs,ours,tfjs --out a.json";
  expect(parseBenchOptions(words.split(" "))).toEqual({
    job: { command: "kernels", rounds: 3, sizes: [64, 100], model: "small", contenders: ["tfjs", "ours"] },
    place: "firefox",
    gpu: false,
    out: "a.json",
  });
  expect(parseBenchOptions(["kernels", "--gpu"])).toMatchObject({ place: "chromium", gpu: true });
  expect(parseBenchOptions(["kernels", "--node"])).toMatchObject({ place: "node" });
});

test("codecs are measured without contenders", () => {
  expect(parseBenchOptions(["reduce"]).job).toMatchObject({ command: "reduce", contenders: ["ours"] });
});

test.each([
  ["", /^say what to measure: npm run bench/],
  ["flops", /^what to measure is 'flops': use kernels or step or reduce$/],
  ["step twice", /^'twice' is one word too many/],
  ["step --fast", /^Unknown option '--fast': npm run bench/],
  ["step --repeats", /^Option '--repeats <value>' argument missing/],
  ["step --repeats 0", /^--repeats is '0': give a whole number from 1 to 1000$/],
  ["kernels --sizes 64,big", /^--sizes is 'big': give a whole number from 1 to 8192$/],
  ["kernels --only ours,theirs", /^--only is 'theirs': use ours or jax or tfjs or webgpu-llm$/],
  ["reduce --only jax", /^--only is for kernels and step/],
  ["kernels --browser safari", /^--browser is 'safari': use chromium or firefox$/],
  ["kernels --node --browser firefox", /^give either --browser or --node$/],
  ["kernels --browser firefox --gpu", /^--gpu is for Chromium/],
])("'%s' is refused on one line", (words, pattern) => {
  const parse = () => parseBenchOptions(words.split(" ").filter((word) => word !== ""));
  expect(parse).toThrow(UserError);
  expect(parse).toThrow(expect.objectContaining({ exitCode: EXIT.badInput }));
  expect(parse).toThrow(pattern);
  expect(parse).not.toThrow(/\n/);
});
