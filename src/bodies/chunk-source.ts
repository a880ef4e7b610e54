type Chunk = Uint8Array<ArrayBuffer>;
type Next = IteratorResult<Chunk, undefined>;

/** The chunks that a handler loops over, one at a time. */
export class ChunkSource implements AsyncIterable<Chunk>, AsyncIterator<Chunk, undefined> {
  #chunk: Chunk | undefined;
  #isOver = false;
  #failed = false;
  #wanted: ((next: Next) => void) | undefined;
  #refuse: ((cause: unknown) => void) | undefined;
  #hungry: ((nothing: undefined) => void) | undefined;

  [Symbol.asyncIterator](): AsyncIterator<Chunk, undefined> {
    return this;
  }

  next(): Promise<Next> {
    const chunk = this.#chunk;
    if (chunk !== undefined) {
      this.#chunk = undefined;
      return Promise.resolve({ done: false, value: chunk });
    }
    this.#hungry?.(undefined);
    this.#hungry = undefined;
    if (this.#failed) return endedEarly();
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    const next = new Promise<Next>((resolve, reject) => {
      this.#wanted = resolve;
      this.#refuse = reject;
    });
    // A handler that asks early may not await this promise when it rejects, and the rejection must not end the process.
    next.catch(() => undefined);
    return next;
  }

  return(): Promise<Next> {
    this.#isOver = true;
    this.#chunk = undefined;
    return Promise.resolve({ done: true, value: undefined });
  }

  /** Gives the handler a chunk. Resolves when the handler has finished it. */
  give(chunk: Chunk): Promise<undefined> {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    if (wanted) wanted({ done: false, value: chunk });
    else this.#chunk = chunk;
    return new Promise((resolve) => {
      this.#hungry = resolve;
    });
  }

  /** The body has ended. */
  end(): void {
    this.#isOver = true;
    this.#wanted?.({ done: true, value: undefined });
    this.#wanted = undefined;
  }

  /** No more chunks come, although the body has not ended. */
  fail(): void {
    this.#failed = true;
    this.#refuse?.(new Error("the body has ended early"));
    this.#wanted = undefined;
  }
}

function endedEarly(): Promise<Next> {
  const failed = Promise.reject<Next>(new Error("the body has ended early"));
  failed.catch(() => undefined);
  return failed;
}
