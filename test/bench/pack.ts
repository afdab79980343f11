// `npm run bench -- pack`: a folder with all that the benchmark needs on a bare Linux machine with a Vulkan driver: Node,
// Dawn (the `webgpu` package) and the bundle, compressed to stay under 60 MB. `./bench step` runs it there and prints
// the result's JSON, for docs/benchmarks.
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { createGzip } from "node:zlib";
import { build } from "vite";
import { UserError } from "../../server/errors.ts";
import { CONTENDERS } from "./names.ts";
import { contenderVersions, packageVersion } from "./packages.ts";

const DAWN = `node_modules/webgpu/dist/linux-${process.arch}/dawn.node`;

/** Unpacks once, beside itself. */
const SCRIPT = `#!/bin/sh
# Runs the benchmark: ./bench kernels|step|reduce [--sizes N,N] [--model small|smollm2-135m] [--repeats N] [--only NAME,NAME]
set -eu
cd "$(dirname "$0")"
[ -e node ] || { gzip -dc node.gz > node; chmod +x node; }
[ -e dawn.node ] || gzip -dc dawn.node.gz > dawn.node
exec ./node packed.js "$@"
`;

/** @throws UserError where Dawn has no build for this machine's processor */
export async function pack(folder: string): Promise<void> {
  await stat(DAWN).catch(() => {
    throw new UserError(`the 'webgpu' package has no ${DAWN}: pack on Linux, x64 or arm64`);
  });
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  await build({
    configFile: false,
    logLevel: "error",
    define: {
      PACKED_VERSIONS: JSON.stringify(await contenderVersions(CONTENDERS)),
      PACKED_DAWN: JSON.stringify(await packageVersion("node_modules/webgpu")),
    },
    build: { outDir: folder, emptyOutDir: true, ssr: "test/bench/packed.ts", target: "node20" },
    ssr: { noExternal: true },
  });
  await Promise.all([
    pipeline(
      createReadStream(process.execPath),
      createGzip({ level: 9 }),
      createWriteStream(join(folder, "node.gz")),
    ),
    pipeline(
      createReadStream(DAWN),
      createGzip({ level: 9 }),
      createWriteStream(join(folder, "dawn.node.gz")),
    ),
    writeFile(join(folder, "package.json"), '{ "type": "module" }\n'),
    writeFile(join(folder, "bench"), SCRIPT),
  ]);
  await chmod(join(folder, "bench"), 0o755);
  const names = await readdir(folder, { recursive: true });
  const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name))).size));
  const megabytes = sizes.reduce((sum, size) => sum + size, 0) / 1e6;
  console.log(`${folder}: ${megabytes.toFixed(1)} MB; copy it to the GPU machine and run ./bench step there`);
}

/** Where `pack [--out FOLDER]` puts it. */
export function packFolder(words: string[]): string {
  const [option, folder, ...rest] = words;
  if (option === undefined) return "dist/bench-pack";
  if (option !== "--out" || !folder || rest.length > 0)
    throw new UserError("npm run bench -- pack [--out FOLDER]");
  return folder;
}
