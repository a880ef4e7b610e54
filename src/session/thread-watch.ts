import { namesOfHandlers, type RunRules } from "../processor/run-rules.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import { REAL_TIMERS, runningFailed, type Timers } from "./answer-time.ts";
import type { BodyRunner, RunResult } from "./body/body-runner.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";

/** A handler that held the thread. */
export interface ThreadHold {
  /** For how long, in milliseconds. */
  readonly heldMs: number;
  /** True if handlers are timed from now on, so that the next one can be named. */
  readonly isTimedNext: boolean;
  /** The processors whose handlers ran; undefined for a hold that came before handlers were timed. */
  readonly processor?: string | undefined;
  /** Likewise. */
  readonly phase?: Phase | undefined;
}

/** How often the clock is looked at while messages come. */
const LOOK_MS = 50;
/** A handler that takes so long is worth a line while handlers are timed: all transactions of the process wait for it. */
const LONG_MS = 100;
/** For how long handlers are timed behind a hold. */
const TIMING_MS = 60_000;
/**
 * For how long they are not timed again if none was found. On a crowded machine the process loses its core for longer than
 * Envoy waits, and no handler is to blame: a clock that is read twice for each message would cost a tenth more CPU for ever.
 */
const REST_MS = 600_000;
/** Looks at the clock behind a hold until everything that came meanwhile has been read. */
const BACKLOG_LOOKS = 2;

/**
 * Notices that something held the thread, and with it the answers of all transactions. Synchronous handlers have no
 * timeout, and a clock that is read for each message would cost more than the message: so a timer looks whether it is
 * late itself, and only behind a hold are handlers timed, one by one, so that the next one can be named.
 *
 * One for a server. While no messages come, no timer runs.
 */
export class ThreadWatch {
  /** Handlers are timed: behind a hold. */
  isTiming = false;
  readonly #timers: Timers;
  readonly #report: (hold: ThreadHold) => void;
  readonly #timeoutMs: number;
  #looks = 0;
  #isArmed = false;
  #sawMessages = false;
  #dueMs = 0;
  #timingUntilMs = 0;
  #restsUntilMs = 0;
  #hasNamed = false;
  /** The look that a hold delayed. */
  #heldLook = Number.NEGATIVE_INFINITY;
  #timer: unknown;

  /** @param timeoutMs How long Envoy waits for an answer: a hold of this length is reported. */
  constructor(timeoutMs: number, report: (hold: ThreadHold) => void, timers: Timers = REAL_TIMERS) {
    this.#timeoutMs = timeoutMs;
    this.#report = report;
    this.#timers = timers;
  }

  /** The stretch of time between two looks at the clock, as a number that rises. */
  get stretch(): number {
    return this.#looks;
  }

  /** Handlers are about to run. */
  enter(): void {
    this.#sawMessages = true;
    if (!this.#isArmed) this.#arm(this.#timers.now());
  }

  /** True for a moment behind a hold: answers that left meanwhile may have come too late. */
  get isBehindHold(): boolean {
    return this.#looks - this.#heldLook <= BACKLOG_LOOKS;
  }

  /** True while the thread is held, for longer than Envoy waits. It reads the clock. */
  get isHeld(): boolean {
    return this.#isArmed && this.#timers.now() - this.#dueMs >= this.#timeoutMs;
  }

  /** Times handlers, and tells of those that take long. */
  time<T>(run: () => T, place: { readonly processor: string; readonly phase: Phase }): T {
    const startMs = this.#timers.now();
    try {
      return run();
    } finally {
      const heldMs = this.#timers.now() - startMs;
      if (heldMs >= Math.min(LONG_MS, this.#timeoutMs)) {
        this.#hasNamed = true;
        this.#report({ heldMs, isTimedNext: true, ...place });
      }
    }
  }

  /**
   * True if what was answered in a stretch of time may have left after Envoy had stopped to wait for it: the thread was held
   * for so long then, or just before.
   */
  wasHeld(stretch: number): boolean {
    return this.isBehindHold && stretch >= this.#heldLook;
  }

  /** Ends it. */
  stop(): void {
    this.#timers.clear(this.#timer);
  }

  #arm(nowMs: number): void {
    this.#isArmed = true;
    this.#sawMessages = false;
    this.#dueMs = nowMs + LOOK_MS;
    this.#timer = this.#timers.set(() => this.#look(), LOOK_MS);
    // It must not keep a process alive that is done.
    (this.#timer as { unref?: () => void }).unref?.();
  }

  #look(): void {
    const nowMs = this.#timers.now();
    const heldMs = nowMs - this.#dueMs;
    const isHold = heldMs >= this.#timeoutMs;
    if (isHold) this.#held(nowMs, heldMs);
    else if (this.isTiming && nowMs >= this.#timingUntilMs) this.#rest(nowMs);
    this.#looks++;
    if (this.#sawMessages || isHold) this.#arm(nowMs);
    else {
      this.#isArmed = false;
      this.#looks += BACKLOG_LOOKS;
    }
  }

  #held(nowMs: number, heldMs: number): void {
    this.#heldLook = this.#looks;
    if (this.isTiming) {
      // The handler tells by itself. One that was found keeps the clock running.
      if (this.#hasNamed) this.#timingUntilMs = nowMs + TIMING_MS;
      return;
    }
    this.isTiming = nowMs >= this.#restsUntilMs;
    this.#timingUntilMs = nowMs + TIMING_MS;
    this.#report({ heldMs, isTimedNext: this.isTiming });
  }

  #rest(nowMs: number): void {
    this.isTiming = false;
    if (!this.#hasNamed) this.#restsUntilMs = nowMs + REST_MS;
    this.#hasNamed = false;
  }
}

/**
 * Runs the handlers of a message, and times them while `watch` wants that. A runner neither throws nor rejects; were it to
 * happen, it must not end the process.
 */
export function runMessage(
  runner: BodyRunner | HandlerChain,
  message: PhaseMessage,
  rules: RunRules,
  watch: ThreadWatch | undefined,
): RunResult | Promise<RunResult> {
  try {
    if (watch === undefined || !watch.isTiming) return runner.run(message);
    const place = { processor: namesOfHandlers(rules, message.case), phase: message.case };
    return watch.time(() => runner.run(message), place);
  } catch (cause) {
    return runningFailed(cause);
  }
}
