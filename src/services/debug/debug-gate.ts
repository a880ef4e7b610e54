import type { Problem } from "../../text/problem.ts";

/** Limits of debug calls. */
export interface DebugLimits {
  /** Most calls at the same time. Default 4. */
  readonly maxConcurrentCalls?: number | undefined;
  /** Most calls a second, for all callers together. Default 10; after a pause twice as many can come at once. */
  readonly maxCallsPerSecond?: number | undefined;
  /**
   * How long the server waits before it rejects a call, in milliseconds, so that callers in a loop cost little. Default
   * 2000.
   */
  readonly refusalDelayMs?: number | undefined;
  /** Largest call, in bytes. Default 262,144. */
  readonly maxCallBytes?: number | undefined;
  /**
   * Most elements of a call: items and names of its JSON, or fields of its messages, nested ones included. Default
   * 2,000; such a call blocks the thread for less than 50 ms.
   */
  readonly maxCallElements?: number | undefined;
  /** Timeout for the arrival of the body of a call, in milliseconds. Default 10,000. */
  readonly bodyTimeoutMs?: number | undefined;
}

/** Most rejections that wait at the same time. Further ones are sent at once. */
const MAX_HELD_BACK = 64;

/**
 * After a pause, the calls of this many seconds can come at once, because a web page makes several calls when it opens.
 */
const BURST_SECONDS = 2;

/** Limits debug calls so that they do not slow down Envoy's requests. All callers of a server share one gate. */
export class DebugGate {
  readonly maxCallBytes: number;
  readonly maxCallElements: number;
  readonly bodyTimeoutMs: number;
  readonly #refusalDelayMs: number;
  readonly #maxConcurrentCalls: number;
  readonly #maxCallsPerSecond: number;
  readonly #now: () => number;
  #running = 0;
  #heldBack = 0;
  /** How many calls can begin now. It can be a fraction. */
  #allowance: number;
  #countedAtMs: number;

  /** @param now The time in milliseconds, on a clock that never goes back. Default: `performance.now()`. */
  constructor(limits: DebugLimits = {}, now: () => number = () => performance.now()) {
    const { maxConcurrentCalls = 4, maxCallsPerSecond = 10, refusalDelayMs = 2000 } = limits;
    this.#maxConcurrentCalls = maxConcurrentCalls;
    this.#maxCallsPerSecond = maxCallsPerSecond;
    this.#refusalDelayMs = refusalDelayMs;
    this.maxCallBytes = limits.maxCallBytes ?? 256 << 10;
    this.maxCallElements = limits.maxCallElements ?? 2_000;
    this.bodyTimeoutMs = limits.bodyTimeoutMs ?? 10_000;
    this.#now = now;
    this.#allowance = BURST_SECONDS * maxCallsPerSecond;
    this.#countedAtMs = now();
  }

  /** Why a call cannot begin now, before it is read; undefined if it can. */
  get refusal(): string | undefined {
    this.#earn();
    return this.#allowance < 1 ? this.#tooMany : undefined;
  }

  /** Begins a call whose request has arrived. Returns a function that ends the call. */
  enter(): (() => void) | Problem {
    if (this.#running >= this.#maxConcurrentCalls) {
      return {
        problem: `${this.#maxConcurrentCalls} debug calls are running, which is the limit; wait for one of them`,
      };
    }
    if (!this.take()) return { problem: this.#tooMany };
    this.#running++;
    let isOver = false;
    return () => {
      if (!isOver) this.#running--;
      isOver = true;
    };
  }

  /** Counts one call of this second. Returns false if no call is left. */
  take(): boolean {
    this.#earn();
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }

  /**
   * Waits before a call is rejected, so that callers in a loop cost little. Does not wait if many rejections wait
   * already.
   */
  async holdBack(signal: AbortSignal): Promise<void> {
    if (this.#heldBack >= MAX_HELD_BACK) return;
    this.#heldBack++;
    await pause(this.#refusalDelayMs, signal);
    this.#heldBack--;
  }

  get #tooMany(): string {
    return `more than ${this.#maxCallsPerSecond} debug calls a second, which is the limit; slow down`;
  }

  #earn(): void {
    const nowMs = this.#now();
    const earned = ((nowMs - this.#countedAtMs) / 1000) * this.#maxCallsPerSecond;
    this.#allowance = Math.min(BURST_SECONDS * this.#maxCallsPerSecond, this.#allowance + earned);
    this.#countedAtMs = nowMs;
  }

  /** Waits until a call is allowed in the current second, and counts it. Also resolves when the signal aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.take()) await pause(1000 / this.#maxCallsPerSecond, signal);
  }
}

/** Waits for a time, or until the signal aborts. */
export function pause(delayMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, delayMs);
    const stop = () => {
      clearTimeout(timer);
      resolve();
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
}
