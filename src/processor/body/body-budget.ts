/** How many bytes of bodies are held at the same time, of all transactions, and how many may be. */
export class BodyBudget {
  readonly maxBytes: number;
  /** Held now. */
  heldBytes = 0;
  /** The most that was held at a time. */
  peakBytes = 0;
  /** How often there was no room. */
  refusals = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Counts bytes that are to be held; false where there is no room for them. */
  take(bytes: number): boolean {
    if (this.heldBytes + bytes > this.maxBytes) {
      this.refusals++;
      return false;
    }
    this.heldBytes += bytes;
    if (this.heldBytes > this.peakBytes) this.peakBytes = this.heldBytes;
    return true;
  }

  /** They are held no more. */
  give(bytes: number): void {
    this.heldBytes -= bytes;
  }
}

/** Bytes of bodies that a process holds at most, where nobody says otherwise. */
export const DEFAULT_BODY_BUDGET_BYTES = 256 << 20;

/** The budget of whoever has none of his own. */
export const DEFAULT_BODY_BUDGET: BodyBudget = new BodyBudget(DEFAULT_BODY_BUDGET_BYTES);
