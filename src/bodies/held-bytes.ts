import { plainBytes } from "./owned-bytes.ts";

const EMPTY = new Uint8Array(0);

/**
 * The beginning of an item whose end has not come. Copied, so that a byte does not keep a chunk alive, into memory that
 * doubles: an item in a thousand chunks is not copied a thousand times.
 */
export class HeldBytes {
  #memory = EMPTY;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** What was held, and behind it the chunk; the chunk itself where nothing was held. */
  join(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#length === 0) return plainBytes(chunk);
    const length = this.#length + chunk.length;
    if (length > this.#memory.length) {
      const memory = new Uint8Array(Math.max(length, this.#memory.length * 2, 256));
      memory.set(this.#memory.subarray(0, this.#length));
      this.#memory = memory;
    }
    this.#memory.set(chunk, this.#length);
    return this.#memory.subarray(0, length);
  }

  /** Holds the last bytes of what {@link join} gave, from an index on. What stands before it may be in use elsewhere. */
  keep(joined: Uint8Array<ArrayBuffer>, from: number): void {
    const isOurs = joined.buffer === this.#memory.buffer && this.#length > 0;
    if (!isOurs || from > 0) this.#memory = from === joined.length ? EMPTY : joined.slice(from);
    this.#length = joined.length - from;
  }

  /** All of it, and holds nothing any more. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#memory.subarray(0, this.#length);
    this.#memory = EMPTY;
    this.#length = 0;
    return bytes;
  }
}
