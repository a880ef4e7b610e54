import { type DestinationStream, type Logger, pino, stdTimeFunctions } from "pino";
import { standardLogOutput } from "./log-output.ts";

/** The log levels: everything at or above the level is logged. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * A logger that writes one JSON object for each line: `level`, `time` (RFC 3339), `msg` and the fields of the event.
 *
 * @param level Default: `info`.
 * @param stream Default: standard output. If no process reads it, or if a write fails, lines are lost and counted, and
 *   the process continues.
 */
export function createLogger(level: LogLevel = "info", stream: DestinationStream = standardLogOutput()): Logger {
  return pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    stream,
  );
}
