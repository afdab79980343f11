#!/usr/bin/env node
// The `tributary` command. Plain JavaScript: it only checks Node and hands over to cli.ts.
const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`tributary: Node ${process.versions.node} is too old; install Node 20.19 or later`);
  process.exit(2);
}
const { register } = await import("tsx/esm/api");
register();
const { main } = await import("./cli.ts");
await main(process.argv);
