/** How often something may happen: `burst` times at once, and `perSecond` more times each second. */
export interface Budget {
  readonly burst: number;
  readonly perSecond: number;
}

/** What is left of a budget. It reads no clock: the connection's tick refills it. */
export class TokenBucket {
  readonly #budget: Budget;
  #tokens: number;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#tokens = budget.burst;
  }

  /** Spends one token; false when there is none. */
  take(): boolean {
    if (this.#tokens < 1) return false;
    this.#tokens--;
    return true;
  }

  /** Adds what `elapsedMs` have earned. */
  refill(elapsedMs: number): void {
    const { burst, perSecond } = this.#budget;
    this.#tokens = Math.min(burst, this.#tokens + (perSecond * elapsedMs) / 1000);
  }
}
