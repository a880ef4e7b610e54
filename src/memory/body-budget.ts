import { DEFAULT_MEMORY_CAPS, MemoryAccount } from "./memory-account.ts";
import type { MemoryShare } from "./memory-share.ts";

/**
 * The limit that a body exceeds.
 *
 * - `body`: its handler's `maxBytes`.
 * - `envoy`: what Envoy buffers, in BUFFERED_PARTIAL.
 * - `stream`: what all bodies of one transaction may hold together.
 * - `total`: what all transactions may hold together.
 */
export type BodyCap = "body" | "envoy" | "stream" | "total";

/** Every cap, for counters that start at 0. */
export const BODY_CAPS: readonly BodyCap[] = ["body", "envoy", "stream", "total"];

/** What happens with a body that is too large, as its handler's `overLimit` says. */
export type OverLimit = "reject" | "pass";

/**
 * The maximum number of body bytes that one transaction holds by default. It includes both directions, every handler of
 * composed processors, bytes as they came and decoded, and the values that they are parsed into. One client alone
 * cannot use up the whole cap. JSON records of 4 MiB fit: they count as 32 MiB while an asynchronous handler works on
 * them.
 */
export const DEFAULT_STREAM_BUDGET_BYTES: number = (DEFAULT_MEMORY_CAPS.bodies * 3) / 8;

/** Counts the body bytes that all transactions, and each single transaction, may hold. */
export class BodyBudget {
  /** The bytes of all transactions. */
  readonly share: MemoryShare;
  /** The maximum number of bytes of one transaction. */
  readonly maxStreamBytes: number;
  /** The number of bodies that were too large, by the exceeded cap and by what happened with them. */
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

/** Counts the body bytes that one transaction holds. */
export class StreamBudget {
  readonly total: BodyBudget;
  /** The bytes that are held now. */
  heldBytes = 0;

  constructor(total: BodyBudget) {
    this.total = total;
  }

  /** Counts bytes as held. If they do not fit, it returns the budget that is full and counts nothing. */
  take(bytes: number): "stream" | "total" | undefined {
    const { total } = this;
    if (this.heldBytes + bytes > total.maxStreamBytes) return "stream";
    if (!total.share.take(bytes)) return "total";
    this.heldBytes += bytes;
    return undefined;
  }

  /** Counts bytes as free again. */
  give(bytes: number): void {
    this.heldBytes -= bytes;
    this.total.share.give(bytes);
  }
}

/** The budget of sessions that got no other. */
export const DEFAULT_BODY_BUDGET: BodyBudget = new BodyBudget(new MemoryAccount().bodies);
