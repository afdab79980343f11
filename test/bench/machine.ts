// What a result says of where and when it was measured, and the GPU of a process that has no browser.
import { cpus } from "node:os";
import type { Result } from "./result.ts";

export function describeMachine(): Pick<Result, "date" | "processor"> {
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: `${cpus().length} × ${cpu?.model.trim() ?? "unknown processor"}`,
  };
}

/** What Dawn's addon offers. */
export interface Dawn {
  create(options: string[]): GPU;
  readonly globals: object;
}

/** Puts Dawn's GPU where libraries look for a page's. */
export function offerGpu({ create, globals }: Dawn): void {
  Object.assign(globalThis, globals);
  const navigator = { gpu: create([]), userAgent: "Node.js" };
  Object.defineProperty(globalThis, "navigator", { value: navigator, configurable: true });
}
