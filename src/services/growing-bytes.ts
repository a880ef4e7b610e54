const NOTHING = new Uint8Array(0);
const MIN_CAPACITY_BYTES = 256;

/**
 * Bytes that are put together from pieces of any size. It takes at most about twice the memory of the bytes, and time in
 * proportion to them: a list of pieces of one byte would take a hundred times as much.
 */
export class GrowingBytes {
  #buffer: Uint8Array = NOTHING;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes so far. Valid until the next call of {@link push}. */
  get bytes(): Uint8Array {
    return this.#buffer.subarray(0, this.#length);
  }

  /** Copies more bytes behind those that are there. */
  push(bytes: Uint8Array): void {
    const length = this.#length + bytes.length;
    if (length > this.#buffer.length) {
      const grown = new Uint8Array(Math.max(length, 2 * this.#buffer.length, MIN_CAPACITY_BYTES));
      grown.set(this.bytes);
      this.#buffer = grown;
    }
    this.#buffer.set(bytes, this.#length);
    this.#length = length;
  }

  /** Gives the bytes away, and begins again without any. */
  take(): Uint8Array {
    const { bytes } = this;
    this.#buffer = NOTHING;
    this.#length = 0;
    return bytes;
  }
}
