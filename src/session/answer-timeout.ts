import type { HandlerTimeout } from "../processor/handler-timeout.ts";
import type { RunRule } from "../processor/run-rules.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import type { RunResult } from "./body/body-runner.ts";
import type { LateHandlers } from "./late-handlers.ts";

/** A clock and its timers. Tests and the simulator replace it with a virtual clock. */
export interface Timers {
  /** Milliseconds since an arbitrary point in time. */
  now(): number;
  /** Calls back once, after the delay. */
  set(callback: () => void, delayMs: number): unknown;
  /** Cancels a timer that `set` returned. */
  clear(timer: unknown): void;
}

type Timer = ReturnType<typeof setTimeout>;

/** The clock of the machine. */
export const REAL_TIMERS: Timers = {
  now: () => performance.now(),
  set: (callback, delayMs) => setTimeout(callback, delayMs),
  clear: (timer) => clearTimeout(timer as Timer | undefined),
};

/** Receives the events of an {@link AnswerTimer}. */
export interface AnswerTimerEvents {
  /** Called once, when the server must ask Envoy for more time. */
  extend(grantMs: number): void;
  /** Called once, when the time is over. No other call follows. */
  expired(): void;
}

/**
 * Measures the time of one message whose answer waits for an asynchronous handler. The time starts when the message is
 * delivered, and goes on if a second processor follows the first.
 */
export class AnswerTimer {
  readonly #timers: Timers;
  #startMs: number;
  readonly #events: AnswerTimerEvents;
  #limit: HandlerTimeout;
  #timer: unknown;
  #hasExtended = false;
  #isOver = false;
  #isPaused = false;

  constructor(timers: Timers, limit: HandlerTimeout, events: AnswerTimerEvents) {
    this.#timers = timers;
    this.#startMs = timers.now();
    this.#limit = limit;
    this.#events = events;
    this.#arm(0);
  }

  /** Milliseconds since the message was delivered. */
  get passedMs(): number {
    return this.#timers.now() - this.#startMs;
  }

  /** Another processor's handler runs now, with its own limit. */
  continueWith(limit: HandlerTimeout): void {
    if (limit === this.#limit) return;
    this.#limit = limit;
    this.#isOver = false;
    if (this.#isPaused) return;
    this.stop();
    this.#arm(this.passedMs);
  }

  /** Stops the time until `restart()`. */
  pause(): void {
    this.#isPaused = true;
    this.stop();
  }

  /** Starts the time again from 0. */
  restart(): void {
    this.stop();
    this.#isPaused = false;
    this.#isOver = false;
    this.#startMs = this.#timers.now();
    this.#arm(0);
  }

  /** Cancels the timer: the answer is complete or no longer needed. */
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
    // After a stall of the event loop, timers run first. The promise that the handler waits for may already have
    // settled.
    this.#timer = this.#timers.set(() => this.#fired(), 0);
  }
}

/** Receives what happens to the awaited answers of one direction. */
export interface AnswerOwner {
  /** The handlers have returned. */
  answered(message: PhaseMessage, answer: RunResult): void;
  /** The server must ask Envoy for more time. */
  needsTime(message: PhaseMessage, grantMs: number): void;
  /** The time is over before the handlers returned. */
  timedOut(message: PhaseMessage): void;
}

/** What an {@link AwaitedAnswer} keeps while it waits. */
interface Waiting {
  readonly owner: AnswerOwner;
  readonly message: PhaseMessage;
  readonly timer: AnswerTimer;
}

/**
 * An answer that waits for asynchronous handlers. After the answer arrives or is abandoned, this object keeps no
 * reference to the transaction. So a promise that never settles does not keep the transaction in memory.
 */
export class AwaitedAnswer implements AnswerTimerEvents {
  #waiting: Waiting | undefined;
  #late: LateHandlers | undefined;

  constructor(
    owner: AnswerOwner,
    message: PhaseMessage,
    {
      answer,
      timers,
      limit,
    }: { readonly answer: Promise<RunResult>; readonly timers: Timers; readonly limit: HandlerTimeout },
  ) {
    this.#waiting = { owner, message, timer: new AnswerTimer(timers, limit, this) };
    answer.then(
      (settled) => this.#settled(settled),
      // The promise should never reject. If it does, the rejection must not end the process.
      (cause: unknown) => this.#settled(runningFailed(cause)),
    );
  }

  /** The message that waits for this answer; undefined after the answer arrived or was abandoned. */
  get message(): PhaseMessage | undefined {
    return this.#waiting?.message;
  }

  /** Milliseconds since the message was delivered. */
  get passedMs(): number {
    return this.#waiting?.timer.passedMs ?? 0;
  }

  /** The next processor's handler runs now. */
  continueWith(limit: HandlerTimeout): void {
    this.#waiting?.timer.continueWith(limit);
  }

  /** Stops the handlers' time while they wait for the client of the stream to read. */
  pause(): void {
    this.#waiting?.timer.pause();
  }

  /** Starts the handlers' time again, because a part of the answer was sent. */
  restart(): void {
    this.#waiting?.timer.restart();
  }

  /** The answer is no longer needed. Handlers that still run are counted as late. */
  abandon(late: LateHandlers): void {
    this.#waiting?.timer.stop();
    this.#waiting = undefined;
    this.#late = late;
    late.add();
  }

  extend(grantMs: number): void {
    if (this.#waiting) this.#waiting.owner.needsTime(this.#waiting.message, grantMs);
  }

  expired(): void {
    if (this.#waiting) this.#waiting.owner.timedOut(this.#waiting.message);
  }

  #settled(answer: RunResult): void {
    const waiting = this.#waiting;
    this.#waiting = undefined;
    if (waiting === undefined) {
      this.#late?.settled();
      return;
    }
    waiting.timer.stop();
    waiting.owner.answered(waiting.message, answer);
  }
}

/** Makes the fault of an answer that took too long. */
export function timedOut(rule: RunRule | undefined, phase: Phase): Fault {
  const processor = rule?.definition.name ?? "";
  const text = `processor "${processor}", ${phase}: no answer within ${rule?.limit.timeoutMs} ms`;
  return fault("handler_timeout", text, { processor });
}

/** Makes the fault of a defect in this library. */
export function runningFailed(cause: unknown): Fault {
  return fault("internal_error", "running a handler failed", { cause });
}

/** Calls back with the value of a promise, or with undefined if it rejects or takes longer: a handler may never settle. */
export function within<T>(
  promise: Promise<T | undefined>,
  limitMs: number,
  timers: Timers,
  done: (value: T | undefined) => void,
): void {
  let isDone = false;
  const finish = (value: T | undefined) => {
    if (isDone) return;
    isDone = true;
    timers.clear(timer);
    done(value);
  };
  const timer = timers.set(() => finish(undefined), limitMs);
  promise.then(finish, () => finish(undefined));
}
