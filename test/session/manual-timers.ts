import type { Timers } from "../../src/session/answer-timeout.ts";

interface Pending {
  readonly atMs: number;
  readonly callback: () => void;
}

/** A clock that moves only when the test moves it. */
export class ManualTimers implements Timers {
  #nowMs = 0;
  readonly #pending = new Set<Pending>();

  now(): number {
    return this.#nowMs;
  }

  set(callback: () => void, delayMs: number): unknown {
    const timer = { atMs: this.#nowMs + delayMs, callback };
    this.#pending.add(timer);
    return timer;
  }

  clear(timer: unknown): void {
    this.#pending.delete(timer as Pending);
  }

  /** Time passes while a handler holds the thread: no timer is called meanwhile. */
  hold(ms: number): undefined {
    this.#nowMs += ms;
  }

  /** Timers that have not fired. */
  get count(): number {
    return this.#pending.size;
  }

  /** Lets time pass, and calls the timers in the order of their times. */
  advance(ms: number): void {
    const endMs = this.#nowMs + ms;
    for (;;) {
      const [next] = [...this.#pending].filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs);
      if (next === undefined) break;
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      next.callback();
    }
    this.#nowMs = endMs;
  }
}
