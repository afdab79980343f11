// What searches for kernels have found on this machine, in IndexedDB: a record for each adapter, set of features,
// browser and state of the kernels. Not here: what is in a record (web/engine/tuning-record.ts).
import { createStore, get, set } from "idb-keyval";
import { z } from "zod";
import type { Gpu } from "../engine/device.ts";
import { kernelHash } from "../engine/kernels.ts";
import { NOTHING_KNOWN, TuningRecord, type KnownTuning } from "../engine/autotune/tuning-record.ts";
import { browserName } from "./describe-gpu.ts";

const Known: z.ZodType<KnownTuning> = z.strictObject({
  best: z.record(z.string(), z.string()),
  bad: z.array(z.string()),
  trying: z.string().nullable(),
});

/** A database of its own: blobs.ts empties the default one when the browser runs out of room. */
const store = createStore("tributary-tuning", "records");

/** Everything but the shape that a kernel's speed hangs on. */
export function tuningKey({ device, info }: Gpu, userAgent: string): string {
  const adapter = [info.vendor, info.architecture, info.device, info.description];
  return JSON.stringify([...adapter, [...device.features].sort(), browserName(userAgent), kernelHash()]);
}

/** A browser that keeps nothing, as in a private window, has a record that is forgotten with the page. */
export async function openTuningRecord(key: string): Promise<TuningRecord> {
  return new TuningRecord(await read(key), async (known) => {
    try {
      await set(key, known, store);
    } catch {
      // The next search begins anew.
    }
  });
}

async function read(key: string): Promise<KnownTuning> {
  try {
    return Known.parse(await get(key, store));
  } catch {
    return NOTHING_KNOWN;
  }
}
