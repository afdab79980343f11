// The little that WGSL has no words for: sizes of private arrays that depend on the model, storage in half
// precision, and unrolled loops. It only rewrites marked forms of line:
//   const NAME = 16u;                                   the value is replaced
//   alias NAME = vec4f;                                 vec4h for half precision
//   for (var i = 0u; i < LIMIT; i++) { // unroll        the loop is written out; LIMIT is a const or a number,
//   for (var i = 0u; i < LIMIT; i += 4) { // unroll     and so is the step

/** A mark that cannot be followed: a bug in a shader file. */
export class PreprocessError extends Error {
  override name = "PreprocessError";
}

/** Sets the consts named, then writes out the loops marked "unroll", inner ones too. */
export function preprocess(source: string, consts: Readonly<Record<string, number>>): string {
  const specialised = Object.entries(consts).reduce((text, [name, value]) => {
    const line = new RegExp(`^const ${name} = [^;]*;`, "m");
    if (!line.test(text)) throw new PreprocessError(`there is no line 'const ${name} = ...;'`);
    return text.replace(line, `const ${name} = ${value}u;`);
  }, source);
  return unroll(specialised.split("\n"), constsOf(specialised)).join("\n");
}

/** The file with its arrays of the types named in half precision; arithmetic stays in f32. */
export function inHalves(source: string, aliases: readonly string[]): string {
  return aliases.reduce((text, name) => {
    const line = `alias ${name} = vec4f;`;
    if (!text.includes(line)) throw new PreprocessError(`there is no line '${line}'`);
    return text.replace(line, `alias ${name} = vec4h;`);
  }, `${source}\nenable f16;`);
}

const MARKED_LOOP = /^\s*for \(var (\w+) = 0u; \1 < (\w+); \1(?:\+\+| \+= (\w+))\) \{ \/\/ unroll$/;

function constsOf(source: string): Map<string, number> {
  const consts = [...source.matchAll(/^const (\w+) = (\d+)u;/gm)];
  return new Map(consts.map(([, name, value]) => [name!, Number(value)]));
}

function unroll(lines: string[], consts: ReadonlyMap<string, number>): string[] {
  const out: string[] = [];
  for (let i = 0; i < lines.length; i++) {
    const [, variable, limit, step = "1"] = MARKED_LOOP.exec(lines[i]!) ?? [];
    if (!variable || !limit) {
      out.push(lines[i]!);
      continue;
    }
    const valueOf = (word: string, what: string) => {
      const value = consts.get(word) ?? parseInt(word, 10);
      if (Number.isInteger(value)) return value;
      throw new PreprocessError(`line ${i + 1}: the ${what} '${word}' is not a const`);
    };
    const [times, by] = [valueOf(limit, "limit"), valueOf(step, "step")];
    const end = closingLine(lines, i);
    const body = lines.slice(i + 1, end);
    for (let n = 0; n < times; n += by) {
      const copy = body.map((line) => line.replace(new RegExp(`\\b${variable}\\b`, "g"), `${n}u`));
      out.push("{", ...unroll(copy, consts), "}");
    }
    i = end;
  }
  return out;
}

/** The line of the brace that closes the one at the end of line `start`. */
function closingLine(lines: string[], start: number): number {
  let depth = 0;
  for (let i = start; i < lines.length; i++) {
    for (const character of lines[i]!) depth += character === "{" ? 1 : character === "}" ? -1 : 0;
    if (depth === 0) return i;
  }
  throw new PreprocessError(`line ${start + 1}: the loop is not closed`);
}
