/**
 * Counts handlers that still run after their answer is no longer needed. A promise that never settles keeps only this
 * object, and not its transaction.
 */
export class LateHandlers {
  #count = 0;
  #whenNone: (() => void) | undefined;

  /** The number of late handlers that still run. */
  get count(): number {
    return this.#count;
  }

  /** Counts one more late handler. */
  add(): void {
    this.#count++;
  }

  /** One late handler has settled. */
  settled(): void {
    this.#count--;
    if (this.#count === 0) this.#whenNone?.();
  }

  /** Calls back when the last late handler has settled. */
  whenNone(callback: () => void): void {
    this.#whenNone = callback;
  }
}
