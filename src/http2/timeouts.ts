import type { EndReason } from "./end-reason.ts";
import { CANCEL, NO_ERROR, PROTOCOL_ERROR, SETTINGS_TIMEOUT } from "./error-codes.ts";
import type { ReaderPosition } from "./frame-reader.ts";
import type { Http2Limits } from "./limits.ts";

/** What the timeouts read: counters that rise with progress, and states. Reading them costs the hot path nothing. */
export interface ConnectionProgress {
  readonly hasSettings: boolean;
  readonly isSettingsAcked: boolean;
  readonly receivedBytes: number;
  readonly framesRead: number;
  readonly position: ReaderPosition;
  readonly headerBlocks: { readonly completed: number; readonly isOpen: boolean };
  /** Sent bytes, and bytes that wait because the client does not read them. */
  readonly takenBytes: number;
  readonly pendingBytes: number;
  readonly isReadingPaused: boolean;
  readonly openStreams: number;
  /** The identifier of the newest stream. */
  readonly lastStreamId: number;
}

/** An action that a check of the timeouts found to be due. */
export type DueAction =
  | { readonly kind: "end"; readonly reason: EndReason; readonly code: number; readonly message: string }
  | { readonly kind: "drain" }
  | { readonly kind: "ping" };

/** The time since which something has not changed. */
class Unchanged {
  sinceMs: number;
  #seen: number | string | undefined;

  constructor(nowMs: number) {
    this.sinceMs = nowMs;
  }

  /** Returns for how long `value` has not changed. */
  forMs(value: number | string, nowMs: number): number {
    if (value !== this.#seen) {
      this.#seen = value;
      this.sinceMs = nowMs;
    }
    return nowMs - this.sinceMs;
  }
}

/** The timeouts of one connection, checked at each tick. */
export class Timeouts {
  readonly #limits: Http2Limits;
  readonly #startedMs: number;
  readonly #maxAgeMs: number;
  readonly #received: Unchanged;
  readonly #partial: Unchanged;
  readonly #taken: Unchanged;
  readonly #idle: Unchanged;
  #pingedMs: number | undefined;
  #isDraining = false;
  #lastGoawayMs: number | undefined;

  /** `jitter` from 0 to 1 spreads maxConnectionAgeMs over ±10 %. */
  constructor(limits: Http2Limits, nowMs: number, jitter: number) {
    this.#limits = limits;
    this.#startedMs = nowMs;
    this.#maxAgeMs = limits.maxConnectionAgeMs * (0.9 + 0.2 * jitter);
    this.#received = new Unchanged(nowMs);
    this.#partial = new Unchanged(nowMs);
    this.#taken = new Unchanged(nowMs);
    this.#idle = new Unchanged(nowMs);
  }

  /** The last GOAWAY was sent, so maxConnectionAgeGraceMs begins. */
  lastGoawaySent(nowMs: number): void {
    this.#lastGoawayMs = nowMs;
  }

  /**
   * The time at which the remaining streams of a connection that is too old are cut off; Infinity while it is not
   * known.
   */
  get graceEndMs(): number {
    const { maxConnectionAgeMs, maxConnectionAgeGraceMs } = this.#limits;
    if (maxConnectionAgeMs === 0 || maxConnectionAgeGraceMs === 0 || this.#lastGoawayMs === undefined) return Infinity;
    // A connection can be drained for another reason before it is too old.
    return Math.max(this.#lastGoawayMs, this.#startedMs + this.#maxAgeMs) + maxConnectionAgeGraceMs;
  }

  /** Returns one action that is due at `nowMs`. */
  check(progress: ConnectionProgress, nowMs: number): DueAction | undefined {
    return (
      this.#checkHandshake(progress, nowMs) ??
      this.#checkPartialFrame(progress, nowMs) ??
      this.#checkWriteStall(progress, nowMs) ??
      this.#checkAge(nowMs) ??
      this.#checkIdle(progress, nowMs) ??
      this.#checkKeepAlive(progress, nowMs)
    );
  }

  #checkHandshake(progress: ConnectionProgress, nowMs: number): DueAction | undefined {
    const elapsedMs = nowMs - this.#startedMs;
    const { prefaceTimeoutMs, settingsAckTimeoutMs } = this.#limits;
    if (!progress.hasSettings && isOver(elapsedMs, prefaceTimeoutMs)) {
      return end("preface_timeout", PROTOCOL_ERROR, "no preface");
    }
    if (!progress.isSettingsAcked && isOver(elapsedMs, settingsAckTimeoutMs)) {
      return end("settings_ack_timeout", SETTINGS_TIMEOUT, "SETTINGS not acknowledged");
    }
    return undefined;
  }

  #checkPartialFrame(progress: ConnectionProgress, nowMs: number): DueAction | undefined {
    const stuckMs = this.#partial.forMs(partialMark(progress), nowMs);
    // While the server does not read, the client is not to blame.
    const isPartial = partialMark(progress) !== "" && !progress.isReadingPaused;
    if (!isPartial || !isOver(stuckMs, this.#limits.partialFrameTimeoutMs)) return undefined;
    return end("partial_frame_timeout", PROTOCOL_ERROR, "a frame or header block was not completed");
  }

  #checkWriteStall(progress: ConnectionProgress, nowMs: number): DueAction | undefined {
    const stalledMs = this.#taken.forMs(progress.pendingBytes === 0 ? "" : progress.takenBytes, nowMs);
    if (progress.pendingBytes === 0 || !isOver(stalledMs, this.#limits.writeStallTimeoutMs)) return undefined;
    return end("write_stall_timeout", CANCEL, "the client does not read");
  }

  #checkAge(nowMs: number): DueAction | undefined {
    if (this.#limits.maxConnectionAgeMs === 0 || nowMs - this.#startedMs < this.#maxAgeMs) return undefined;
    if (nowMs >= this.graceEndMs) return end("connection_age_grace", NO_ERROR, "the connection is too old");
    return this.#drainOnce();
  }

  #checkIdle({ openStreams, lastStreamId }: ConnectionProgress, nowMs: number): DueAction | undefined {
    const idleMs = this.#idle.forMs(openStreams > 0 ? "" : lastStreamId, nowMs);
    return openStreams === 0 && isOver(idleMs, this.#limits.idleTimeoutMs) ? this.#drainOnce() : undefined;
  }

  #checkKeepAlive(progress: ConnectionProgress, nowMs: number): DueAction | undefined {
    const { keepAliveIntervalMs, keepAliveTimeoutMs } = this.#limits;
    if (keepAliveIntervalMs === 0 || progress.isReadingPaused) return undefined;
    const silentMs = this.#received.forMs(progress.receivedBytes, nowMs);
    if (silentMs === 0) this.#pingedMs = undefined;
    if (this.#pingedMs === undefined) {
      if (silentMs < keepAliveIntervalMs) return undefined;
      this.#pingedMs = nowMs;
      return { kind: "ping" };
    }
    if (!isOver(nowMs - this.#pingedMs, keepAliveTimeoutMs)) return undefined;
    return end("keep_alive_timeout", NO_ERROR, "PING not answered");
  }

  #drainOnce(): DueAction | undefined {
    if (this.#isDraining) return undefined;
    this.#isDraining = true;
    return { kind: "drain" };
  }
}

/** Names the incomplete part and its progress; "" if nothing is incomplete. */
function partialMark({ headerBlocks, position, framesRead, receivedBytes }: ConnectionProgress): string {
  // The reader progresses with every CONTINUATION, but only the end of the block counts.
  if (headerBlocks.isOpen) return `block ${headerBlocks.completed}`;
  if (position === "inside a frame") return `frame ${framesRead}`;
  // DATA is passed on as it arrives, so a slow upload is not an attack.
  return position === "inside DATA" ? `DATA ${receivedBytes}` : "";
}

/** True if a timeout is over. A timeout of 0 is never over. */
export function isOver(elapsedMs: number, timeoutMs: number): boolean {
  return timeoutMs > 0 && elapsedMs >= timeoutMs;
}

function end(reason: EndReason, code: number, message: string): DueAction {
  return { kind: "end", reason, code, message };
}
