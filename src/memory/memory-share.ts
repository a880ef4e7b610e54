/**
 * Counts one kind of memory that clients can make the process hold: the bytes that are held, and the cap.
 *
 * A holder of memory calls `take()` before it allocates, or as soon as it knows the size, and `give()` when nothing
 * refers to the memory any more.
 */
export class MemoryShare {
  /** The label of its metrics. */
  readonly kind: string;
  readonly maxBytes: number;
  /** The bytes that are held now. */
  heldBytes = 0;
  /** The largest number of bytes that were held at the same time. */
  peakBytes = 0;
  /** How often bytes did not fit. */
  refusals = 0;

  constructor(kind: string, maxBytes: number) {
    this.kind = kind;
    this.maxBytes = maxBytes;
  }

  /** Counts bytes as held. Returns false, and counts a refusal, if they do not fit; then nothing is held. */
  take(bytes: number): boolean {
    const heldBytes = this.heldBytes + bytes;
    if (heldBytes > this.maxBytes) {
      this.refusals++;
      return false;
    }
    this.heldBytes = heldBytes;
    if (heldBytes > this.peakBytes) this.peakBytes = heldBytes;
    return true;
  }

  /** Counts bytes that were taken as free again. */
  give(bytes: number): void {
    this.heldBytes -= bytes;
  }
}
