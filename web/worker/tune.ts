// The tuning of a stage on this machine: what is known from before, and what a search finds where that is not enough.
import type { StageSpec } from "../../core/plan/memory.ts";
import { autotune, isTuned, tunedFor } from "../engine/autotune/autotune.ts";
import type { Gpu } from "../engine/device.ts";
import { isSoftware, tuningFor, type Tuning } from "../engine/tuning.ts";
import { openTuningRecord, tuningKey } from "./tuning-store.ts";

/** A software adapter has its entry in the table. `onSearch` hears when a search begins and when it ends. */
export function tune(gpu: Gpu, spec: StageSpec, onSearch: (searching: boolean) => void): Promise<Tuning> {
  if (isSoftware(gpu.info)) return Promise.resolve(tuningFor(gpu));
  // Pages that search at once would spoil each other's times, and take each other's marks for crashes.
  return navigator.locks.request("tributary-tuning", async () => {
    const record = await openTuningRecord(tuningKey(gpu, navigator.userAgent));
    if (!isTuned(gpu, spec, record)) {
      onSearch(true);
      // Whatever ended it, there is a table; a lost device is met by who waits for that.
      await autotune(gpu, spec, record).catch((error: unknown) => console.warn(error));
      onSearch(false);
    }
    return tunedFor(gpu, spec, record);
  });
}
