// The configuration form: its fields and the JSON say the same.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { describeIssues, RunConfig } from "../../core/model/config.ts";
import demo from "../../core/model/demo.json";
import { FIELD_GROUPS, fieldText, sortProblems, writeField } from "../../web/coordinator/config-fields.ts";

const FIELDS = FIELD_GROUPS.flatMap(({ fields }) => fields);
const fieldAt = (path: string) => FIELDS.find((field) => field.path === path)!;

describe("fields and JSON", () => {
  test("every field stands in the demo's configuration", () => {
    for (const field of FIELDS) expect(fieldText(demo, field), field.path).not.toBe("");
  });

  test("writing what a field shows changes nothing", () => {
    for (const field of FIELDS) expect(writeField(demo, field, fieldText(demo, field))).toEqual(demo);
  });

  test("writing one field leaves every other as it was, and the given object untouched", () => {
    const before = structuredClone(demo);
    const written = writeField(demo, fieldAt("model.layers"), "6");
    expect(written).toEqual({ ...demo, model: { ...demo.model, layers: 6 } });
    expect(demo).toEqual(before);
  });

  test.each(["", "six", "1e", "12x", " "])("text that is no number stays text: %j", (text) => {
    expect(writeField(demo, fieldAt("steps"), text).steps).toBe(text);
    expect(fieldText(writeField(demo, fieldAt("steps"), text), fieldAt("steps"))).toBe(text);
  });

  test("digits in a text field stay text", () => {
    expect(writeField(demo, fieldAt("name"), "42").name).toBe("42");
  });

  test("missing parts are made, as after an empty JSON", () => {
    expect(writeField(null, fieldAt("model.width"), "8")).toEqual({ model: { width: 8 } });
    expect(fieldText(null, fieldAt("model.width"))).toBe("");
  });

  test("a number can be typed key by key: the field shows what was typed at every one", () => {
    const typeable = fc.double({ min: 1e-6, max: 1e6, noNaN: true }).map(String);
    fc.assert(
      fc.property(fc.constantFrom(...FIELDS), fc.oneof(typeable, fc.constant("0.0004")), (field, text) => {
        let config: unknown = demo;
        for (let length = 1; length <= text.length; length++) {
          const typed = text.slice(0, length);
          config = writeField(config, field, typed);
          expect(fieldText(config, field, typed)).toBe(typed);
        }
      }),
    );
  });

  test("the JSON has the last word over what was typed before", () => {
    expect(fieldText({ ...demo, steps: 7 }, fieldAt("steps"), "120")).toBe("7");
  });
});

describe("sortProblems", () => {
  test("puts the schema's problems under their fields, others stay in the list", () => {
    const config = {
      ...demo,
      stages: "most",
      model: { ...demo.model, kvHeads: 3, depth: 2 },
      optimizer: { ...demo.optimizer, beta1: 2 },
    };
    const { byPath, others } = sortProblems(describeIssues(RunConfig.safeParse(config).error!));
    expect([...byPath.keys()].sort()).toEqual(["model.kvHeads", "stages"]);
    expect(byPath.get("stages")).toContain("auto");
    expect(others).toHaveLength(2);
    expect(others.join()).toContain("model.depth");
    expect(others.join()).toContain("optimizer.beta1");
  });

  test("a second problem of one field is not lost", () => {
    const { byPath, others } = sortProblems(["steps: one", "steps: two"]);
    expect(byPath.get("steps")).toBe("one");
    expect(others).toEqual(["steps: two"]);
  });
});
