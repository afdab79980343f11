// `npm run demo`, `npm test` and `npm run bench` on a fresh clone: installs the npm packages, then hands
// over to setup.ts. Plain JavaScript with no dependencies, because it runs before anything is installed.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`tributary: Node ${process.versions.node} is too old; install Node 20.19 or later`);
  process.exit(2);
}

/** npm leaves a copy of the lock file's packages in node_modules; when they differ, packages are missing or old. */
function installed() {
  const copy = join(root, "node_modules", ".package-lock.json");
  if (!existsSync(copy)) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(readFileSync(copy, "utf8")).packages;
  return Object.entries(wanted).every(
    ([path, { version, optional }]) => path === "" || optional || present[path]?.version === version,
  );
}

if (!installed()) {
  console.error("installing npm packages (once)");
  const npm = process.platform === "win32" ? "npm.cmd" : "npm";
  const { status } = spawnSync(npm, ["ci", "--no-audit", "--no-fund"], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: process.platform === "win32",
  });
  if (status !== 0) {
    console.error("tributary: 'npm ci' failed (see above); check the network and the npm registry setting");
    process.exit(1);
  }
}

const { register } = await import("tsx/esm/api");
register();
const { setUp } = await import("./setup.ts");
await setUp(root, process.argv.slice(2));
