import type { StreamBudget } from "./body-budget.ts";

/** The bytes that one stage of a body holds, as the budget of its transaction counts them. */
export class HeldRoom {
  readonly #budget: StreamBudget;
  /** Held now. */
  bytes = 0;

  constructor(budget: StreamBudget) {
    this.#budget = budget;
  }

  /** Counts bytes that are to be held; says what has no room for them, where something has none. */
  take(bytes: number): "stream" | "total" | undefined {
    const cap = this.#budget.take(bytes);
    if (cap === undefined) this.bytes += bytes;
    return cap;
  }

  /** They are held no more; default: all of them. */
  give(bytes: number = this.bytes): void {
    // A handler that nobody waits for any more may come to its end when all was given back.
    const given = Math.min(bytes, this.bytes);
    this.bytes -= given;
    this.#budget.give(given);
  }
}
