import type { Logger } from "./logger.ts";

/** Default number of lines a second of one kind. A failure in every request must not fill the disk. */
const MAX_LINES_PER_SECOND = 10;

/** Decides which log lines are written, and counts those that are left out. */
export class LineLimiter {
  readonly #now: () => number;
  readonly #maxPerSecond: number;
  #second = 0;
  #lines = 0;
  #leftOut = 0;

  constructor(now: () => number = Date.now, maxPerSecond = MAX_LINES_PER_SECOND) {
    this.#now = now;
    this.#maxPerSecond = maxPerSecond;
  }

  /**
   * Fields for a line that can be written: `leftOut` if lines are missing before it. Undefined if the line must not be
   * written.
   *
   * @param kept How many lines of this second are reserved for other lines. Default: 0.
   */
  next(kept = 0): { readonly leftOut?: number } | undefined {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    if (this.#lines >= this.#maxPerSecond - kept) {
      this.#leftOut++;
      return undefined;
    }
    this.#lines++;
    const fields = this.#leftOut > 0 ? { leftOut: this.#leftOut } : {};
    this.#leftOut = 0;
    return fields;
  }
}

/**
 * One {@link LineLimiter} for each kind of line, so that many lines of one kind do not suppress another kind. Kinds
 * come from a fixed set, such as fault codes, and never from data of a client, because each kind has a limiter.
 */
export class LineLimiters {
  readonly #now: (() => number) | undefined;
  readonly #byKind = new Map<string, LineLimiter>();

  constructor(now?: () => number) {
    this.#now = now;
  }

  /** Like {@link LineLimiter.next}, for a line of this kind. */
  next(kind: string): { readonly leftOut?: number } | undefined {
    let limiter = this.#byKind.get(kind);
    if (limiter === undefined) {
      limiter = new LineLimiter(this.#now);
      this.#byKind.set(kind, limiter);
    }
    return limiter.next();
  }
}

/** A logger with at most 10 warnings and errors a second for each message. Messages must come from a fixed set. */
export function limitLines(log: Logger): Logger {
  const limiters = new LineLimiters();
  return {
    info: (fields, message) => log.info(fields, message),
    warn(fields, message) {
      const line = limiters.next(message);
      if (line) log.warn({ ...fields, ...line }, message);
    },
    error(fields, message) {
      const line = limiters.next(message);
      if (line) log.error({ ...fields, ...line }, message);
    },
  };
}
