/**
 * Handlers that outlive what they were asked for. It is all that a promise which never settles keeps of its transaction.
 */
export class LateHandlers {
  #count = 0;
  #whenNone: (() => void) | undefined;

  /** How many still run. */
  get count(): number {
    return this.#count;
  }

  /** One more is late. */
  add(): void {
    this.#count++;
  }

  /** One of them has come to its end. */
  settled(): void {
    this.#count--;
    if (this.#count === 0) this.#whenNone?.();
  }

  /** Calls back when the last of them has. */
  whenNone(callback: () => void): void {
    this.#whenNone = callback;
  }
}
