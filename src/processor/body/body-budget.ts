/**
 * What a body can be too large for.
 *
 * - `body`: its handler's `maxBytes`.
 * - `envoy`: what Envoy buffers, in BUFFERED_PARTIAL.
 * - `stream`: what all bodies of one transaction may hold together.
 * - `total`: what all transactions may hold together.
 */
export type BodyCap = "body" | "envoy" | "stream" | "total";

/** Every such cap, for counters that start at zero. */
export const BODY_CAPS: readonly BodyCap[] = ["body", "envoy", "stream", "total"];

/** What becomes of a body that is too large, as its handler's `overLimit` has it. */
export type OverLimit = "reject" | "pass";

/** Bytes of bodies that a process holds at most, where nobody says otherwise. */
export const DEFAULT_BODY_BUDGET_BYTES = 256 << 20;

/**
 * The same for one transaction: both directions, every handler of composed processors, bytes as they came and as they
 * were decoded. A quarter of the whole, so that no client can use it up alone.
 */
export const DEFAULT_STREAM_BUDGET_BYTES = 64 << 20;

/** How many bytes of bodies are held at the same time, of all transactions, and how many may be. */
export class BodyBudget {
  readonly maxBytes: number;
  /** Of one transaction. */
  readonly maxStreamBytes: number;
  /** Held now. */
  heldBytes = 0;
  /** The most that was held at a time. */
  peakBytes = 0;
  /** Bodies that were too large, by what they were too large for, and what became of them. */
  readonly refusals: Readonly<Record<BodyCap, Record<OverLimit, number>>> = {
    body: { reject: 0, pass: 0 },
    envoy: { reject: 0, pass: 0 },
    stream: { reject: 0, pass: 0 },
    total: { reject: 0, pass: 0 },
  };

  constructor(maxBytes: number, maxStreamBytes: number = DEFAULT_STREAM_BUDGET_BYTES) {
    this.maxBytes = maxBytes;
    this.maxStreamBytes = maxStreamBytes;
  }

  /** Counts a body that was too large. */
  refused(cap: BodyCap, answer: OverLimit): void {
    this.refusals[cap][answer]++;
  }
}

/** The bytes of bodies that one transaction holds. */
export class StreamBudget {
  readonly total: BodyBudget;
  /** Held now. */
  heldBytes = 0;

  constructor(total: BodyBudget) {
    this.total = total;
  }

  /** Counts bytes that are to be held; says what has no room for them, where something has none. */
  take(bytes: number): "stream" | "total" | undefined {
    const { total } = this;
    if (this.heldBytes + bytes > total.maxStreamBytes) return "stream";
    if (total.heldBytes + bytes > total.maxBytes) return "total";
    this.heldBytes += bytes;
    total.heldBytes += bytes;
    if (total.heldBytes > total.peakBytes) total.peakBytes = total.heldBytes;
    return undefined;
  }

  /** They are held no more. */
  give(bytes: number): void {
    this.heldBytes -= bytes;
    this.total.heldBytes -= bytes;
  }
}

/** The budget of whoever has none of his own. */
export const DEFAULT_BODY_BUDGET: BodyBudget = new BodyBudget(DEFAULT_BODY_BUDGET_BYTES);
