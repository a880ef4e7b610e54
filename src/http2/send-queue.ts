import type { FairShare } from "../memory/fair-share.ts";

/** Larger entries are copied to the output frame by frame: one frame that the kernel does not take would keep them whole. */
const MAX_REFERENCED_BYTES = 128 * 1024;
/** Instead of an entry that has been sent. */
const SENT = new Uint8Array(0);

/** DATA of one stream that waits. It counts until the last byte of its entry has been sent: until then all of it is kept. */
export class SendQueue {
  readonly #answers: FairShare;
  #entries: Uint8Array[] = [];
  #start = 0;
  /** How much of the first entry has been sent. */
  #sentBytes = 0;
  #countedBytes = 0;

  constructor(answers: FairShare) {
    this.#answers = answers;
  }

  /** Bytes of the first entry that have not been sent. */
  get firstBytes(): number {
    return this.#first.length - this.#sentBytes;
  }

  /** True if the bytes taken from the first entry must be copied. */
  get isLarge(): boolean {
    return this.#first.length > MAX_REFERENCED_BYTES;
  }

  /** Adds an entry, for which there is room. */
  push(bytes: Uint8Array): void {
    this.#answers.take(bytes.length);
    this.#countedBytes += bytes.length;
    this.#entries.push(bytes);
  }

  /** Takes so many bytes of the first entry. */
  take(bytes: number): Uint8Array {
    const entry = this.#first;
    const start = this.#sentBytes;
    const end = start + bytes;
    if (end < entry.length) this.#sentBytes = end;
    else this.#shift(entry.length);
    return bytes === entry.length ? entry : entry.subarray(start, end);
  }

  /** Drops what waits. */
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
    // If not, the entry would stay in memory as long as the entries after it.
    this.#entries[this.#start] = SENT;
    this.#start++;
    if (this.#start < this.#entries.length) return;
    this.#entries = [];
    this.#start = 0;
  }
}
