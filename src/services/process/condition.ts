/** Lets callers wait for a change. A call of notify() is lost if no caller waits, so check the condition before waiting. */
export class Condition {
  #waiting: Promise<void> | undefined;
  #wake: (() => void) | undefined;

  /** Wakes all callers that wait now. */
  notify(): void {
    this.#wake?.();
    this.#waiting = undefined;
    this.#wake = undefined;
  }

  /** Resolves at the next notify(). */
  wait(): Promise<void> {
    this.#waiting ??= new Promise((resolve) => {
      this.#wake = resolve;
    });
    return this.#waiting;
  }
}
