import { DEFAULT_MEMORY_CAPS, MemoryAccount } from "./memory-account.ts";
import type { MemoryShare } from "./memory-share.ts";

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

/** What the server does with a body that is too large: the handler's `overLimit`. */
export type OverLimit = "reject" | "pass";

/**
 * Most bytes of bodies that one transaction holds by default: both directions, every handler of composed processors, bytes
 * as they came and as they were decoded, and what they are parsed into. No client can use up the whole alone, and 4 MiB of
 * JSON records fit, which count as 32 MiB while an asynchronous handler works on them.
 */
export const DEFAULT_STREAM_BUDGET_BYTES: number = (DEFAULT_MEMORY_CAPS.bodies * 3) / 8;

/** How many bytes of bodies all transactions and a single transaction may hold. */
export class BodyBudget {
  /** Bytes of all transactions. */
  readonly share: MemoryShare;
  /** Most bytes of one transaction. */
  readonly maxStreamBytes: number;
  /** Bodies that were too large, by the cap and by what the server did with them. */
  readonly refusals: Readonly<Record<BodyCap, Record<OverLimit, number>>> = {
    body: { reject: 0, pass: 0 },
    envoy: { reject: 0, pass: 0 },
    stream: { reject: 0, pass: 0 },
    total: { reject: 0, pass: 0 },
  };

  constructor(share: MemoryShare, maxStreamBytes: number = DEFAULT_STREAM_BUDGET_BYTES) {
    this.share = share;
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
    if (!total.share.take(bytes)) return "total";
    this.heldBytes += bytes;
    return undefined;
  }

  /** They are held no more. */
  give(bytes: number): void {
    this.heldBytes -= bytes;
    this.total.share.give(bytes);
  }
}

/** The budget of sessions that were not given one. */
export const DEFAULT_BODY_BUDGET: BodyBudget = new BodyBudget(new MemoryAccount().bodies);
