/** Wakes all callers that wait. A ring without a waiting caller is lost, so check the condition before waiting. */
export class Bell {
  #waiting: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  /** Wakes all callers that wait now. */
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
