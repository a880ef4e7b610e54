import type { CoderRoom } from "../../bodies/coding/coder-memory.ts";
import type { StreamBudget } from "../../memory/body-budget.ts";

/** What has no room for more bytes: all bodies of the transaction, or those of all transactions. */
export type FullBudget = "stream" | "total";

/** The bytes that one stage of a body holds, as the budget of its transaction counts them. */
export class HeldRoom {
  readonly #budget: StreamBudget;
  /** Bytes held now. */
  bytes = 0;
  /** Handlers and coders at work that hold bytes, whatever becomes of the transaction. */
  #users = 0;
  #isClosed = false;

  constructor(budget: StreamBudget) {
    this.#budget = budget;
  }

  /** Counts bytes as held. If they do not fit, it says which budget is full, and holds nothing. Once closed it counts nothing. */
  take(bytes: number): FullBudget | undefined {
    if (this.#isClosed) return undefined;
    const cap = this.#budget.take(bytes);
    if (cap === undefined) this.bytes += bytes;
    return cap;
  }

  /** Counts bytes as free again; default: all of them. */
  give(bytes: number = this.bytes): void {
    // A handler may settle when all was given back.
    const given = Math.min(bytes, this.bytes);
    this.bytes -= given;
    this.#budget.give(given);
  }

  /** A handler or a coder holds the bytes until its promise settles: {@link close} does not give them back before. */
  useUntil(settled: Promise<unknown>): void {
    this.#users++;
    const done = () => {
      this.#users--;
      if (this.#isClosed && this.#users === 0) this.give();
    };
    settled.then(done, done);
  }

  /** The stage needs nothing any more: all is given back, at once or when the last user is done. */
  close(): void {
    this.#isClosed = true;
    if (this.#users === 0) this.give();
  }
}

/** Room for the native memory of a body's coders in the budget of its transaction. */
export class CoderBudget implements CoderRoom {
  readonly #budget: StreamBudget;
  /** Which budget was full when a coder had no room; undefined until then. */
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
