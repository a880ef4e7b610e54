import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { standardLogOutput } from "./log-output.ts";

/** What is logged: everything at or above this level. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * A logger that writes one JSON object a line: `level`, `time` (RFC 3339), `msg` and the fields of the event.
 *
 * @param level Default: `info`.
 * @param stream Default: standard output. If nothing reads it, or a write fails, lines are lost and counted, and the
 *   process goes on.
 */
export function createLogger(level: LogLevel = "info", stream: DestinationStream = standardLogOutput()): Logger {
  return pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    stream,
  );
}
