// The server's own log: JSON lines on standard error, so that standard output stays with the command's results.
import { levels, pino, stdSerializers } from "pino";
import { UserError } from "./errors.ts";

export const log = pino(
  { level: levelFromEnvironment(), serializers: { error: stdSerializers.err } },
  pino.destination({ fd: 2, sync: true }),
);

function levelFromEnvironment(): string {
  const level = process.env.TRIBUTARY_LOG || "warn";
  const known = [...Object.keys(levels.values), "silent"];
  if (known.includes(level)) return level;
  throw new UserError(`TRIBUTARY_LOG is '${level}': use one of ${known.join(", ")}`);
}
