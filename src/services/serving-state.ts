/** Whether the server wants new transactions. The one place that health, readiness and shutdown share. */
export class ServingState {
  #serving: boolean;
  #ended = false;
  readonly #watchers = new Set<() => void>();

  /** @param serving False where it has to be set up first. Default: true. */
  constructor(serving = true) {
    this.#serving = serving;
  }

  /** True while new transactions are wanted. Whoever watches is told of a change. */
  get serving(): boolean {
    return this.#serving;
  }

  set serving(serving: boolean) {
    this.#serving = serving;
    for (const changed of this.#watchers) changed();
  }

  /** True once the server goes for good. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The server is set up: it serves, unless it goes already. */
  begin(): void {
    if (!this.#ended) this.serving = true;
  }

  /** The server goes: it serves no more, and whoever watches is told so and let go. */
  end(): void {
    this.#ended = true;
    this.serving = false;
  }

  /** Resolves at the next change, or when the signal aborts. */
  changed(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise<void>((resolve) => {
      const done = () => {
        this.#watchers.delete(done);
        signal.removeEventListener("abort", done);
        resolve();
      };
      this.#watchers.add(done);
      signal.addEventListener("abort", done);
    });
  }
}
