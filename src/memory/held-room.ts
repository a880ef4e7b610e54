import type { StreamBudget } from "./body-budget.ts";

/** Names a full budget: that of the transaction's bodies, or that of all transactions. */
export type FullBudget = "stream" | "total";

/** Counts the bytes that one stage of a body holds, in the budget of its transaction. */
export class HeldRoom {
  readonly #budget: StreamBudget;
  /** The bytes that are held now. */
  bytes = 0;
  /** The number of running handlers and coders that hold bytes, even if the transaction is over. */
  #users = 0;
  #isClosed = false;

  constructor(budget: StreamBudget) {
    this.#budget = budget;
  }

  /**
   * Counts bytes as held. If they do not fit, it returns the full budget and counts nothing. After `close()` it counts
   * nothing.
   */
  take(bytes: number): FullBudget | undefined {
    if (this.#isClosed) return undefined;
    const cap = this.#budget.take(bytes);
    if (cap === undefined) this.bytes += bytes;
    return cap;
  }

  /** Counts bytes as free again. Default: all of them. */
  give(bytes: number = this.bytes): void {
    if (this.bytes === 0) return;
    // A handler may settle after all bytes were freed.
    const given = Math.min(bytes, this.bytes);
    this.bytes -= given;
    this.#budget.give(given);
  }

  /** A handler or coder holds the bytes until its promise settles. {@link close} does not free them before. */
  useUntil(settled: Promise<unknown>): void {
    this.#users++;
    const done = () => {
      this.#users--;
      if (this.#isClosed && this.#users === 0) this.give();
    };
    settled.then(done, done);
  }

  /** The stage needs no bytes any more. They are freed at once, or when the last user has finished. */
  close(): void {
    this.#isClosed = true;
    if (this.#users === 0) this.give();
  }
}

/** Counts the native memory of a body's coders in the budget of its transaction. */
export class CoderBudget {
  readonly #budget: StreamBudget;
  /** The budget that was full when a coder had no room; undefined until then. */
  full: FullBudget | undefined;

  constructor(budget: StreamBudget) {
    this.#budget = budget;
  }

  take(bytes: number): boolean {
    this.full = this.#budget.take(bytes);
    return this.full === undefined;
  }

  give(bytes: number): void {
    this.#budget.give(bytes);
  }
}
