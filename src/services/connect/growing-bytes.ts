/** Pieces of up to this size are copied into blocks, because a small array costs more memory than its bytes. */
const MAX_SMALL_BYTES = 512;
const BLOCK_BYTES = 2_048;
const NOTHING = new Uint8Array(0);

/**
 * Joins pieces of any size. It needs about as much memory as the bytes, and time in proportion to them. A list of
 * one-byte pieces would need 100 times as much.
 */
export class GrowingBytes {
  #blocks: Uint8Array[] = [];
  /** The last block, if it has room for more small pieces. */
  #open: Uint8Array | undefined;
  #openLength = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The first bytes: all, or those of the first block. That is enough for the head of an envelope. */
  get head(): Uint8Array {
    const first = this.#blocks[0];
    if (first === undefined) return NOTHING;
    return first === this.#open ? first.subarray(0, this.#openLength) : first;
  }

  /** Adds a copy of bytes. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#length += bytes.length;
    if (this.#open !== undefined && this.#openLength + bytes.length <= BLOCK_BYTES) {
      this.#open.set(bytes, this.#openLength);
      this.#openLength += bytes.length;
      return;
    }
    this.#close();
    if (bytes.length > MAX_SMALL_BYTES) {
      this.#blocks.push(Uint8Array.from(bytes));
      return;
    }
    this.#open = new Uint8Array(BLOCK_BYTES);
    this.#open.set(bytes);
    this.#openLength = bytes.length;
    this.#blocks.push(this.#open);
  }

  /** Removes and returns all bytes, in one piece. */
  take(): Uint8Array {
    this.#close();
    const blocks = this.#blocks;
    const length = this.#length;
    this.#blocks = [];
    this.#length = 0;
    const [first = NOTHING] = blocks;
    return blocks.length > 1 ? Buffer.concat(blocks, length) : first;
  }

  #close(): void {
    if (this.#open === undefined) return;
    this.#blocks[this.#blocks.length - 1] = this.#open.subarray(0, this.#openLength);
    this.#open = undefined;
    this.#openLength = 0;
  }
}
