import { pause } from "./pause.ts";

/** How much debugging a server takes on. */
export interface DebugLimits {
  /** Calls under way at the same time. Default 4. */
  readonly maxConcurrentCalls?: number | undefined;
  /** Calls a second, of all callers together. Default 10; after a pause twice as many may come at once. */
  readonly maxCallsPerSecond?: number | undefined;
  /** How long a refusal is held back, in milliseconds, so that callers in a loop cost little. Default 2000. */
  readonly refusalDelayMs?: number | undefined;
}

/** How many seconds' calls may come at once after a pause: a page asks several things when it opens. */
const BURST_SECONDS = 2;

/** Lets so many debug calls through that serving does not suffer. Everybody who debugs a server shares one. */
export class DebugGate {
  readonly refusalDelayMs: number;
  readonly #maxConcurrentCalls: number;
  readonly #maxCallsPerSecond: number;
  readonly #now: () => number;
  #running = 0;
  /** Calls that may begin now, in part where not enough time has passed for a whole one. */
  #allowance: number;
  #countedAtMs: number;

  /** @param now Milliseconds on a clock that only goes forwards. Default: this process's. */
  constructor(limits: DebugLimits = {}, now: () => number = () => performance.now()) {
    const { maxConcurrentCalls = 4, maxCallsPerSecond = 10, refusalDelayMs = 2000 } = limits;
    this.#maxConcurrentCalls = maxConcurrentCalls;
    this.#maxCallsPerSecond = maxCallsPerSecond;
    this.refusalDelayMs = refusalDelayMs;
    this.#now = now;
    this.#allowance = BURST_SECONDS * maxCallsPerSecond;
    this.#countedAtMs = now();
  }

  /** Begins a call; gives what ends it, or, where it may not begin, why not. */
  enter(): (() => void) | string {
    if (this.#running >= this.#maxConcurrentCalls) {
      return `${this.#maxConcurrentCalls} debug calls are under way, which is the limit; wait for one of them`;
    }
    if (!this.take()) return `more than ${this.#maxCallsPerSecond} debug calls a second, which is the limit; slow down`;
    this.#running++;
    let isOver = false;
    return () => {
      if (!isOver) this.#running--;
      isOver = true;
    };
  }

  /** Uses up one call of this second; false where none is left. */
  take(): boolean {
    const nowMs = this.#now();
    const earned = ((nowMs - this.#countedAtMs) / 1000) * this.#maxCallsPerSecond;
    this.#allowance = Math.min(BURST_SECONDS * this.#maxCallsPerSecond, this.#allowance + earned);
    this.#countedAtMs = nowMs;
    if (this.#allowance < 1) return false;
    this.#allowance--;
    return true;
  }

  /** Resolves once a call of this second is left, and uses it up, or when the signal aborts. */
  async room(signal: AbortSignal): Promise<void> {
    while (!signal.aborted && !this.take()) await pause(1000 / this.#maxCallsPerSecond, signal);
  }
}
