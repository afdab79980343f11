// One process a data folder: a lock file with the process's id.
import { mkdir, open, readFile, rm } from "node:fs/promises";
import { resolve } from "node:path";
import { UserError } from "./errors.ts";

/** Locks of this process: another lock with its id is left from one that had the same id, as in a container. */
const held = new Set<string>();

/** Makes the folder if need be, locks it and returns how to unlock it. A lock whose process is gone is taken over. @throws UserError */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  await mkdir(folder, { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`'${folder}' cannot be the data folder (${error.code}): give another with --data`);
  });
  const path = resolve(folder, "lock");
  for (;;) {
    const file = await open(path, "wx").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "EEXIST") return null;
      throw error;
    });
    if (file) {
      await file.writeFile(String(process.pid));
      await file.close();
      held.add(path);
      return async () => {
        held.delete(path);
        await rm(path, { force: true });
      };
    }
    const holder = Number(await readFile(path, "utf8").catch(() => ""));
    if (holder === process.pid ? held.has(path) : isAlive(holder)) {
      throw new UserError(
        `the data folder '${folder}' is in use by process ${holder}: stop it, or give another with --data`,
      );
    }
    await rm(path, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}
