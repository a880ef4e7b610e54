import type { RunRule } from "../processor/run-rules.ts";
import type { TimeLimit } from "../processor/time-limit.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import type { RunResult } from "./body/body-runner.ts";
import type { LateHandlers } from "./late-handlers.ts";

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

/** Whoever waits for an answer, of one direction. */
export interface AnswerOwner {
  /** The handlers are done. */
  answered(message: PhaseMessage, answer: RunResult): void;
  /** Envoy has to be asked for more time. */
  needsTime(message: PhaseMessage, grantMs: number): void;
  /** They are not done, and their time is over. */
  timedOut(message: PhaseMessage): void;
}

/** What is known while an answer is waited for. */
interface Waiting {
  readonly owner: AnswerOwner;
  readonly message: PhaseMessage;
  readonly timer: AnswerTimer;
}

/**
 * An answer that asynchronous handlers owe. Once it is there, or abandoned, this keeps nothing of the transaction, so that
 * a promise which never settles does not either.
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
    }: { readonly answer: Promise<RunResult>; readonly timers: Timers; readonly limit: TimeLimit },
  ) {
    this.#waiting = { owner, message, timer: new AnswerTimer(timers, limit, this) };
    answer.then(
      (settled) => this.#settled(settled),
      // It never rejects; were it to happen, it must not end the process.
      (cause: unknown) => this.#settled(runningFailed(cause)),
    );
  }

  /** What it is the answer to; undefined where nobody waits any more. */
  get message(): PhaseMessage | undefined {
    return this.#waiting?.message;
  }

  /** Since the message was delivered. */
  get passedMs(): number {
    return this.#waiting?.timer.passedMs ?? 0;
  }

  /** The next processor is at work. */
  continueWith(limit: TimeLimit): void {
    this.#waiting?.timer.continueWith(limit);
  }

  /** The handlers' time stands still: they wait for the peer. */
  pause(): void {
    this.#waiting?.timer.pause();
  }

  /** The handlers' time begins anew: a part of the answer has left. */
  restart(): void {
    this.#waiting?.timer.restart();
  }

  /** Nobody waits any more: the handlers that still run are late from here on. */
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

/** The fault of an answer that took too long. */
export function timedOut(rule: RunRule | undefined, phase: Phase): Fault {
  const processor = rule?.definition.name ?? "";
  const text = `processor "${processor}", ${phase}: no answer within ${rule?.limit.timeoutMs} ms`;
  return fault("handler_timeout", text, { processor });
}

/** A defect of this library, as a fault. */
export function runningFailed(cause: unknown): Fault {
  return fault("internal_error", "running a handler failed", { cause });
}
