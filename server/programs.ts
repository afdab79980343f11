// Finds programs of the machine: by an environment variable that names one, or on the PATH.
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";
import { EXIT, UserError } from "./errors.ts";

/** The program that the variable names; null when it is not set. @throws UserError when there is no such program */
export function programNamedBy(variable: string): string | null {
  const wanted = process.env[variable];
  if (!wanted) return null;
  if (isExecutable(wanted)) return wanted;
  throw new UserError(`${variable} is '${wanted}', and there is no program: correct or unset it`, EXIT.noGpu);
}

/** The first program on the PATH that has one of the names. */
export function programOnPath(names: readonly string[]): string | null {
  const folders = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const candidates = folders.flatMap((folder) => names.map((name) => join(folder, name)));
  return candidates.find(isExecutable) ?? null;
}

export function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}
