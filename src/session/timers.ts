/** A clock and its timers, so that time can be played. */
export interface Timers {
  /** Milliseconds from any moment on. */
  now(): number;
  /** Calls back after a while, once. */
  set(callback: () => void, delayMs: number): unknown;
  /** Takes back what `set` gave. */
  clear(timer: unknown): void;
}

type Timer = ReturnType<typeof setTimeout>;

/** The clock of this machine. */
export const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  set: (callback, delayMs) => setTimeout(callback, delayMs),
  clear: (timer) => clearTimeout(timer as Timer | undefined),
};
