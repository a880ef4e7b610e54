import { GrowingBytes } from "../../services/connect/growing-bytes.ts";

/** Bytes of a request that can wait for its handler before the server stops reading from the client. */
export const MAX_WAITING_BYTES: number = 64 * 1024;

/** What a {@link ByteQueue} needs of the stream that fills it. */
export interface ByteQueueOptions {
  readonly maxWaitingBytes: number;
  /** Called when more waits than that: stop sending. */
  readonly full: () => void;
  /** Called when there is room again. */
  readonly room: () => void;
  /** Called for all bytes that the iteration hands over. */
  readonly handedOver?: (bytes: number) => void;
}

/** Bytes that are pushed in on one side and iterated over on the other, once. */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #options: ByteQueueOptions;
  readonly #waiting = new GrowingBytes();
  #isFull = false;
  #ended = false;
  #error: Error | undefined;
  /** The error is ours, and the end is still to come. */
  #isRefused = false;
  /** What is pushed is dropped. */
  isDiscarded = false;
  readonly #overListeners: (() => void)[] = [];
  #wake: (() => void) | undefined;

  constructor(options: ByteQueueOptions) {
    this.#options = options;
  }

  /** True once nothing follows. */
  get isOver(): boolean {
    return this.#ended || (this.#error !== undefined && !this.#isRefused);
  }

  /** Adds bytes, of which it makes a copy. */
  push(bytes: Uint8Array): void {
    if (this.isDiscarded) return;
    this.#waiting.push(bytes);
    if (!this.#isFull && this.#waiting.length > this.#options.maxWaitingBytes) {
      this.#isFull = true;
      this.#options.full();
    }
    this.#wake?.();
  }

  /** Nothing follows. */
  end(): void {
    this.#ended = true;
    this.#changed();
  }

  /**
   * Drops what is left, and what is still to come.
   *
   * @param maxWaitMs Longest wait for the end. Default: as long as it takes.
   * @returns Resolves at the end, or when the wait is over.
   */
  async discard(maxWaitMs?: number): Promise<void> {
    this.isDiscarded = true;
    this.#take();
    if (this.isOver) return;
    await new Promise<void>((resolve) => {
      const timer = maxWaitMs === undefined ? undefined : setTimeout(resolve, maxWaitMs);
      this.#overListeners.push(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  /** What is left is void: the iteration fails. */
  fail(error: Error): void {
    this.#isRefused = false;
    this.#error = error;
    this.#changed();
  }

  /** The same, while more is still pushed: discard() waits for its end. */
  refuse(error: Error): void {
    this.#isRefused = true;
    this.#error = error;
    this.#changed();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (true) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#waiting.length > 0) {
        const bytes = this.#take();
        this.#options.handedOver?.(bytes.length);
        yield bytes;
      } else if (this.#ended) {
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }

  #changed(): void {
    this.#wake?.();
    if (!this.isOver) return;
    for (const listener of this.#overListeners.splice(0)) listener();
  }

  /** Everything that waits, in one piece. */
  #take(): Uint8Array {
    const bytes = this.#waiting.take();
    if (this.#isFull) {
      this.#isFull = false;
      this.#options.room();
    }
    return bytes;
  }
}
