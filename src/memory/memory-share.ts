/**
 * One kind of memory that clients can make the process hold: how many bytes are held, and how many may be held at most.
 *
 * A holder of memory takes it here before it is allocated, or as soon as its size is known, and gives it back when
 * nothing refers to it any more.
 */
export class MemoryShare {
  /** The label of its metrics. */
  readonly kind: string;
  readonly maxBytes: number;
  /** Bytes held now. */
  heldBytes = 0;
  /** The most bytes that were held at the same time. */
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
