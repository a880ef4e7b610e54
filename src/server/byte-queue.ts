/** What a {@link ByteQueue} needs of the stream that fills it. */
export interface ByteQueueOptions {
  readonly maxWaitingBytes: number;
  /** Called when more waits than that: stop sending. */
  readonly full: () => void;
  /** Called when there is room again. */
  readonly room: () => void;
  /** Called for each chunk that the iteration hands over. */
  readonly handedOver?: (bytes: number) => void;
}

/** Bytes that are pushed in on one side and iterated over on the other, once. */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #options: ByteQueueOptions;
  readonly #chunks: Uint8Array[] = [];
  #waitingBytes = 0;
  #isFull = false;
  #ended = false;
  #error: Error | undefined;
  /** The error is ours, and the end is still to come. */
  #isRefused = false;
  #wake: (() => void) | undefined;

  constructor(options: ByteQueueOptions) {
    this.#options = options;
  }

  /** Adds a chunk. */
  push(chunk: Uint8Array): void {
    this.#chunks.push(chunk);
    this.#waitingBytes += chunk.length;
    if (!this.#isFull && this.#waitingBytes > this.#options.maxWaitingBytes) {
      this.#isFull = true;
      this.#options.full();
    }
    this.#wake?.();
  }

  /** Nothing follows. */
  end(): void {
    this.#ended = true;
    this.#wake?.();
  }

  /** Drops what is left, and resolves where it ends. */
  async discard(): Promise<void> {
    while (!this.#ended && (this.#error === undefined || this.#isRefused)) {
      this.#drop();
      await this.#change();
    }
    this.#drop();
  }

  /** What is left is void: the iteration fails. */
  fail(error: Error): void {
    this.#isRefused = false;
    this.#error = error;
    this.#wake?.();
  }

  /** The same, while more is still pushed: discard() waits for its end. */
  refuse(error: Error): void {
    this.fail(error);
    this.#isRefused = true;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (true) {
      if (this.#error !== undefined) throw this.#error;
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        this.#took(chunk.length);
        this.#options.handedOver?.(chunk.length);
        yield chunk;
      } else if (this.#ended) {
        return;
      } else {
        await this.#change();
      }
    }
  }

  #drop(): void {
    this.#chunks.length = 0;
    this.#took(this.#waitingBytes);
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  #took(bytes: number): void {
    this.#waitingBytes -= bytes;
    if (this.#isFull && this.#waitingBytes <= this.#options.maxWaitingBytes / 2) {
      this.#isFull = false;
      this.#options.room();
    }
  }
}
