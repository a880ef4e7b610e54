import type { MemoryShare } from "./memory-share.ts";

/**
 * What one connection holds of a {@link MemoryShare}: as many bytes as are still free at most. A connection that is alone
 * can hold half of the share, and ten that hold all they can leave an eleventh of it free for the next one. So no
 * connection can use up the memory of the others.
 */
export class FairShare {
  /** Bytes that this connection holds now. */
  heldBytes = 0;
  readonly #share: MemoryShare;

  constructor(share: MemoryShare) {
    this.#share = share;
  }

  /** Whether so many bytes more fit. Counts a refusal if not. */
  hasRoomFor(bytes: number): boolean {
    const { maxBytes, heldBytes } = this.#share;
    if (this.heldBytes + bytes <= maxBytes - heldBytes - bytes) return true;
    this.#share.refusals++;
    return false;
  }

  /** Counts bytes as held. Returns false, and counts a refusal, if they do not fit; then nothing is held. */
  take(bytes: number): boolean {
    if (!this.hasRoomFor(bytes)) return false;
    // It fits there too: what stays free is at least what the connection holds.
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
