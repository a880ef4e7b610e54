/** How often something may happen: `burst` times at once, and `perSecond` more times each second. */
export interface RateLimit {
  readonly burst: number;
  readonly perSecond: number;
}

/** Enforces a rate limit (a token bucket). It reads no clock: the connection's tick refills it. */
export class TokenBucket {
  readonly #limit: RateLimit;
  #tokens: number;

  constructor(limit: RateLimit) {
    this.#limit = limit;
    this.#tokens = limit.burst;
  }

  /** Takes one token. Returns false if none is left. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Adds the tokens of `elapsedMs`. */
  refill(elapsedMs: number): void {
    const { burst, perSecond } = this.#limit;
    this.#tokens = Math.min(burst, this.#tokens + (perSecond * elapsedMs) / 1000);
  }
}
