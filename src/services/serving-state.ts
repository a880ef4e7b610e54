/** Whether the server accepts new transactions. Health, readiness and shutdown share it. */
export class ServingState {
  #serving: boolean;
  #ended = false;
  readonly #watchers = new Set<() => void>();

  /** @param serving False if the server must be set up first. Default: true. */
  constructor(serving = true) {
    this.#serving = serving;
  }

  /** True while new transactions are accepted. Watchers get each change. */
  get serving(): boolean {
    return this.#serving;
  }

  set serving(serving: boolean) {
    this.#serving = serving;
    for (const changed of this.#watchers) changed();
  }

  /** True when the server has begun to shut down. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Called when the server is set up: it serves, unless it shuts down. */
  begin(): void {
    if (!this.#ended) this.serving = true;
  }

  /** Called at shutdown: the server no longer serves, and watchers get that change and end. */
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
