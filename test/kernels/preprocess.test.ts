// The two rewrites of WGSL that web/engine/preprocess.ts does.
import { describe, expect, test } from "vitest";
import { inHalves, preprocess, PreprocessError } from "../../web/engine/preprocess.ts";

const lines = (...text: string[]) => text.join("\n");

describe("preprocess", () => {
  test("leaves what is not marked as it stands", () => {
    const source = lines("const N = 4u;", "for (var i = 0u; i < N; i++) {", "  x[i] = y[i];", "}");
    expect(preprocess(source, {})).toBe(source);
  });

  test("sets consts", () => {
    expect(preprocess(lines("const N = 4u; // quads", "const M = 2u;"), { N: 16 })).toBe(
      lines("const N = 16u; // quads", "const M = 2u;"),
    );
  });

  test("writes marked loops out, inner ones too, as often as a const or a number says", () => {
    const source = lines(
      "const N = 4u;",
      "for (var i = 0u; i < N; i++) { // unroll",
      "for (var j = 0u; j < 1; j++) { // unroll",
      "if (ii) { x[i] = f(j); }",
      "}",
      "}",
      "done();",
    );
    const body = (i: number) => lines("{", "{", `if (ii) { x[${i}u] = f(0u); }`, "}", "}");
    expect(preprocess(source, { N: 2 })).toBe(lines("const N = 2u;", body(0), body(1), "done();"));
  });

  test("a marked loop may go in steps", () => {
    const source = lines("const N = 6u;", "for (var i = 0u; i < N; i += 4) { // unroll", "f(i);", "}");
    const written = lines("{", "f(0u);", "}", "{", "f(4u);", "}");
    expect(preprocess(source, {})).toBe(lines("const N = 6u;", written));
    const named = lines("const BY = 4u;", source.replace("+= 4", "+= BY"));
    expect(preprocess(named, {})).toBe(lines("const BY = 4u;", "const N = 6u;", written));
  });

  test("half precision is what is stored, not what is computed with", () => {
    const source = lines("alias A = vec4f;", "alias B = vec4f;", "var<private> sum: vec4f;");
    expect(inHalves(source, ["B"])).toBe(
      lines("alias A = vec4f;", "alias B = vec4h;", "var<private> sum: vec4f;", "enable f16;"),
    );
    expect(inHalves(source, ["A", "B"])).toContain(lines("alias A = vec4h;", "alias B = vec4h;"));
    expect(() => inHalves(source, ["C"])).toThrow(new PreprocessError("there is no line 'alias C = vec4f;'"));
  });

  test("says which mark cannot be followed", () => {
    expect(() => preprocess("const N = 4u;", { M: 1 })).toThrow(
      new PreprocessError("there is no line 'const M = ...;'"),
    );
    expect(() => preprocess(lines("", "for (var i = 0u; i < R; i++) { // unroll", "}"), {})).toThrow(
      new PreprocessError("line 2: the limit 'R' is not a const"),
    );
    expect(() => preprocess("for (var i = 0u; i < 4; i += S) { // unroll", {})).toThrow(
      new PreprocessError("line 1: the step 'S' is not a const"),
    );
    expect(() => preprocess("for (var i = 0u; i < 2; i++) { // unroll", {})).toThrow(
      new PreprocessError("line 1: the loop is not closed"),
    );
  });
});
