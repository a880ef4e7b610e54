/** How much debugging a server takes on. */
export interface DebugLimits {
  /** Calls under way at the same time. Default 4. */
  readonly maxConcurrentCalls?: number | undefined;
  /** Calls a second, of all callers together. Default 10; after a pause twice as many may come at once. */
  readonly maxCallsPerSecond?: number | undefined;
  /** How long a refusal is held back, in milliseconds, so that callers in a loop cost little. Default 2000. */
  readonly refusalDelayMs?: number | undefined;
  /** Largest call, in bytes. Default 262,144. */
  readonly maxCallBytes?: number | undefined;
  /**
   * Most elements of a call: items and names of its JSON, or fields of its messages, nested ones included. Default 2,000; such a
   * call holds the thread for less than 50 ms.
   */
  readonly maxCallElements?: number | undefined;
  /** How long the body of a call may take to arrive, in milliseconds. Default 10,000. */
  readonly bodyTimeoutMs?: number | undefined;
}

/** Most refusals that are held back at a time. Further ones are sent at once. */
const MAX_HELD_BACK = 64;

/** How many seconds' calls may come at once after a pause: a page asks several things when it opens. */
const BURST_SECONDS = 2;

/** Lets so many debug calls through that serving does not suffer. Everybody who debugs a server shares one. */
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
  /** Calls that may begin now, in part where not enough time has passed for a whole one. */
  #allowance: number;
  #countedAtMs: number;

  /** @param now Milliseconds on a clock that only goes forwards. Default: this process's. */
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

  /** Why a call may not begin now, before anything of it is read; undefined if it may. */
  get refusal(): string | undefined {
    this.#earn();
    return this.#allowance < 1 ? this.#tooMany : undefined;
  }

  /** Begins a call, whose request is all there; gives what ends it, or, if it may not begin, why not. */
  enter(): (() => void) | string {
    if (this.#running >= this.#maxConcurrentCalls) {
      return `${this.#maxConcurrentCalls} debug calls are under way, which is the limit; wait for one of them`;
    }
    if (!this.take()) return this.#tooMany;
    this.#running++;
    let isOver = false;
    return () => {
      if (!isOver) this.#running--;
      isOver = true;
    };
  }

  /** Uses up one call of this second; false if none is left. */
  take(): boolean {
    this.#earn();
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }

  /** Waits before a refusal is sent, so that callers in a loop cost little. Does not wait if many refusals are held back. */
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

  /** Resolves once a call of this second is left, and uses it up, or when the signal aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.take()) await pause(1000 / this.#maxCallsPerSecond, signal);
  }
}

/** Waits so many milliseconds, or until the signal aborts. */
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
