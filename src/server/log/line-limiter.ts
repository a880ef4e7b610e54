import type { Logger } from "./logger.ts";

/** Lines a second of one kind, unless told otherwise. What fails on every request must not fill the disk. */
const MAX_LINES_PER_SECOND = 10;

/** Says which log lines may be written, and how many were left out before them. */
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
   * Fields for a line that may be written, `leftOut` if lines are missing before it; undefined if it may not be written.
   *
   * @param kept How many lines of this second are kept for other lines. Default: 0.
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
 * One {@link LineLimiter} for each kind of line, so that many lines of one kind do not suppress another kind. Kinds come
 * from a fixed set, such as fault codes, and never from data of a peer: there is one limiter for each.
 */
export class LineLimiters {
  readonly #now: (() => number) | undefined;
  readonly #byKind = new Map<string, LineLimiter>();

  constructor(now?: () => number) {
    this.#now = now;
  }

  /** As {@link LineLimiter.next}, for a line of this kind. */
  next(kind: string): { readonly leftOut?: number } | undefined {
    let limiter = this.#byKind.get(kind);
    if (limiter === undefined) {
      limiter = new LineLimiter(this.#now);
      this.#byKind.set(kind, limiter);
    }
    return limiter.next();
  }
}

/** The same log, with at most ten warnings and errors of each message a second. Messages must come from a fixed set. */
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
