import { type DestinationStream, destination, type Logger, pino, stdTimeFunctions } from "pino";

/** What is logged: everything at or above this level. */
export const LOG_LEVELS = ["debug", "info", "warn", "error", "silent"] as const;

/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

/**
 * A logger that writes one JSON object a line: `level`, `time` (RFC 3339), `msg` and the fields of the event.
 *
 * @param level Default: `info`.
 * @param stream Default: standard output. A write that fails, as on a full disk, loses the line and nothing else.
 */
export function createLogger(level: LogLevel = "info", stream: DestinationStream = standardOutput()): Logger {
  return pino(
    { level, base: null, timestamp: stdTimeFunctions.isoTime, formatters: { level: (label) => ({ level: label }) } },
    stream,
  );
}

function standardOutput(): DestinationStream {
  const stream = destination({ fd: 1, sync: true });
  stream.on("error", () => {
    // There is nowhere left to say it.
  });
  return stream;
}
