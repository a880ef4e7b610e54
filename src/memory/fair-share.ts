import type { MemoryShare } from "./memory-share.ts";

/**
 * Counts the bytes of one connection in a {@link MemoryShare}. A connection can hold at most as many bytes as are still
 * free. One connection alone can hold half of the share. Ten connections that hold as much as they can leave 1/11 of it
 * for the next one. So no connection can use up the memory of the others.
 */
export class FairShare {
  /** The bytes that this connection holds now. */
  heldBytes = 0;
  readonly #share: MemoryShare;

  constructor(share: MemoryShare) {
    this.#share = share;
  }

  /** True if this number of bytes still fits. Counts a refusal if not. */
  hasRoomFor(bytes: number): boolean {
    const { maxBytes, heldBytes } = this.#share;
    if (this.heldBytes + bytes <= maxBytes - heldBytes - bytes) return true;
    this.#share.refusals++;
    return false;
  }

  /** Counts bytes as held. Returns false, and counts a refusal, if they do not fit; then nothing is held. */
  take(bytes: number): boolean {
    if (!this.hasRoomFor(bytes)) return false;
    // The share has room too: its free bytes are at least the bytes that the connection holds.
    this.#share.take(bytes);
    this.heldBytes += bytes;
    return true;
  }

  /** Counts bytes that were taken as free again. */
  give(bytes: number): void {
    this.heldBytes -= bytes;
    this.#share.give(bytes);
  }
}
