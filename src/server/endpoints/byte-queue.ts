import { GrowingBytes } from "../../services/connect/growing-bytes.ts";

/** Bytes of a request that can wait for its handler before the server stops reading from the client. */
export const MAX_WAITING_BYTES: number = 64 * 1024;

/** Options of {@link ByteQueue}. */
export interface ByteQueueOptions {
  readonly maxWaitingBytes: number;
  /** Called when more than {@link MAX_WAITING_BYTES} wait: the stream must pause. */
  readonly full: () => void;
  /** Called when the stream can continue. */
  readonly room: () => void;
  /** Called with the number of bytes that the iteration has handed over. */
  readonly handedOver?: (bytes: number) => void;
}

/** A queue of bytes: one side pushes, the other side iterates once. */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #options: ByteQueueOptions;
  readonly #waiting = new GrowingBytes();
  #isFull = false;
  #ended = false;
  #error: Error | undefined;
  /** True: this server rejected the request, and its end has not come yet. */
  #isRefused = false;
  /** True: pushed bytes are dropped. */
  isDiscarded = false;
  readonly #overListeners: (() => void)[] = [];
  #wake: (() => void) | undefined;

  constructor(options: ByteQueueOptions) {
    this.#options = options;
  }

  /** True when no more bytes follow. */
  get isOver(): boolean {
    return this.#ended || (this.#error !== undefined && !this.#isRefused);
  }

  /** Adds a copy of bytes. */
  push(bytes: Uint8Array): void {
    if (this.isDiscarded) return;
    this.#waiting.push(bytes);
    if (!this.#isFull && this.#waiting.length > this.#options.maxWaitingBytes) {
      this.#isFull = true;
      this.#options.full();
    }
    this.#wake?.();
  }

  /** Ends the queue: no more bytes follow. */
  end(): void {
    this.#ended = true;
    this.#changed();
  }

  /**
   * Drops the bytes that wait, and those that still come.
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

  /** Makes the iteration fail. Bytes that wait are dropped. */
  fail(error: Error): void {
    this.#isRefused = false;
    this.#error = error;
    this.#changed();
  }

  /** Makes the iteration fail while more bytes are still pushed. discard() waits for their end. */
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

  /** All bytes that wait, in one piece. */
  #take(): Uint8Array {
    const bytes = this.#waiting.take();
    if (this.#isFull) {
      this.#isFull = false;
      this.#options.room();
    }
    return bytes;
  }
}
