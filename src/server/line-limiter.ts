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

  /** Fields for a line that may be written, `leftOut` where lines are missing before it; undefined where it may not. */
  next(): { readonly leftOut?: number } | undefined {
    const second = Math.floor(this.#now() / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#lines = 0;
    }
    if (this.#lines >= this.#maxPerSecond) {
      this.#leftOut++;
      return undefined;
    }
    this.#lines++;
    const fields = this.#leftOut > 0 ? { leftOut: this.#leftOut } : {};
    this.#leftOut = 0;
    return fields;
  }
}
