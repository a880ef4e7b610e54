/** Wakes everyone who waits. A ring that nobody waits for is lost, so look before waiting. */
export class Bell {
  #waiting: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  /** Wakes whoever waits now. */
  ring(): void {
    this.#wake?.();
    this.#waiting = undefined;
    this.#wake = undefined;
  }

  /** Resolves at the next ring. */
  wait(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      this.#wake = resolve;
    });
    return this.#waiting;
  }
}
