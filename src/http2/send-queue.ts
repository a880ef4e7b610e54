import type { FairShare } from "../memory/fair-share.ts";

/**
 * Larger entries are copied to the output frame by frame. Otherwise one frame that the kernel does not take would keep
 * the whole entry in memory.
 */
const MAX_REFERENCED_BYTES = 128 * 1024;
/** Replaces an entry that has been sent. */
const SENT = new Uint8Array(0);

/**
 * DATA of one stream that waits to be sent. An entry counts until its last byte has been sent, because all of it is
 * kept until then.
 */
export class SendQueue {
  readonly #answers: FairShare;
  #entries: Uint8Array[] = [];
  #start = 0;
  /** The number of bytes of the first entry that have been sent. */
  #sentBytes = 0;
  #countedBytes = 0;

  constructor(answers: FairShare) {
    this.#answers = answers;
  }

  /** The number of bytes of the first entry that have not been sent. */
  get firstBytes(): number {
    return this.#first.length - this.#sentBytes;
  }

  /** True if the bytes taken from the first entry must be copied. */
  get isLarge(): boolean {
    return this.#first.length > MAX_REFERENCED_BYTES;
  }

  /** Adds an entry. The caller has checked that there is room for it. */
  push(bytes: Uint8Array): void {
    this.#answers.take(bytes.length);
    this.#countedBytes += bytes.length;
    this.#entries.push(bytes);
  }

  /** Takes this number of bytes from the first entry. */
  take(bytes: number): Uint8Array {
    const entry = this.#first;
    const start = this.#sentBytes;
    const end = start + bytes;
    if (end < entry.length) this.#sentBytes = end;
    else this.#shift(entry.length);
    return bytes === entry.length ? entry : entry.subarray(start, end);
  }

  /** Drops all entries. */
  clear(): void {
    this.#answers.give(this.#countedBytes);
    this.#countedBytes = 0;
    this.#entries = [];
    this.#start = 0;
    this.#sentBytes = 0;
  }

  get #first(): Uint8Array {
    return this.#entries[this.#start] ?? SENT;
  }

  #shift(bytes: number): void {
    this.#answers.give(bytes);
    this.#countedBytes -= bytes;
    this.#sentBytes = 0;
    // Otherwise the entry would stay in memory as long as the entries after it.
    this.#entries[this.#start] = SENT;
    this.#start++;
    if (this.#start < this.#entries.length) return;
    this.#entries = [];
    this.#start = 0;
  }
}
