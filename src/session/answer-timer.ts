import type { TimeLimit } from "../processor/time-limit.ts";
import type { Timers } from "./timers.ts";

/** Hears of an {@link AnswerTimer}. */
export interface AnswerTimerEvents {
  /** Envoy has to be asked for more time: once. */
  extend(grantMs: number): void;
  /** The time is over: once, and last. */
  expired(): void;
}

/**
 * The time of one message whose answer waits for a handler. It counts from the message's delivery on, whichever of
 * several processors is at work.
 */
export class AnswerTimer {
  readonly #timers: Timers;
  #startMs: number;
  readonly #events: AnswerTimerEvents;
  #limit: TimeLimit;
  #timer: unknown;
  #hasExtended = false;
  #isOver = false;
  #isPaused = false;

  constructor(timers: Timers, limit: TimeLimit, events: AnswerTimerEvents) {
    this.#timers = timers;
    this.#startMs = timers.now();
    this.#limit = limit;
    this.#events = events;
    this.#arm(0);
  }

  /** Since the message was delivered. */
  get passedMs(): number {
    return this.#timers.now() - this.#startMs;
  }

  /** Another processor is at work, with a limit of its own. */
  continueWith(limit: TimeLimit): void {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#isOver = false;
    if (this.#isPaused) return;
    this.stop();
    this.#arm(this.passedMs);
  }

  /** Time stands still. */
  pause(): void {
    this.#isPaused = true;
    this.stop();
  }

  /** Time begins anew, from here on. */
  restart(): void {
    this.stop();
    this.#isPaused = false;
    this.#isOver = false;
    this.#startMs = this.#timers.now();
    this.#arm(0);
  }

  /** The answer is there, or nobody waits for it any more. */
  stop(): void {
    this.#timers.clear(this.#timer);
  }

  #arm(passedMs: number): void {
    const { timeoutMs, extension } = this.#limit;
    const next = extension !== undefined && !this.#hasExtended ? extension.afterMs : timeoutMs;
    this.#timer = this.#timers.set(() => this.#fired(), Math.max(0, next - passedMs));
  }

  #fired(): void {
    const { extension } = this.#limit;
    if (extension === undefined || this.#hasExtended) {
      this.#expire();
      return;
    }
    this.#hasExtended = true;
    this.#events.extend(extension.grantMs);
    this.#arm(this.passedMs);
  }

  #expire(): void {
    if (this.#isOver) {
      this.#events.expired();
      return;
    }
    this.#isOver = true;
    // After a stall of the event loop timers come first: what the handler waited for may be there already.
    this.#timer = this.#timers.set(() => this.#fired(), 0);
  }
}
