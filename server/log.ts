// The server's own log: JSON lines on standard error, so that standard output stays with the command's results.
import { pino } from "pino";

export const log = pino(
  { level: process.env.TRIBUTARY_LOG ?? "warn" },
  pino.destination({ fd: 2, sync: true }),
);
