import { namesOfHandlers, type RunRules } from "../processor/run-rules.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import { REAL_TIMERS, runningFailed, type Timers } from "./answer-timeout.ts";
import type { BodyRunner, RunResult } from "./body/body-runner.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";

/** Reports that something blocked the thread. */
export interface ThreadBlock {
  /** How long the thread was blocked, in milliseconds. */
  readonly heldMs: number;
  /** True if handlers are timed from now on, so that the next one can be named. */
  readonly isTimedNext: boolean;
  /** The processors whose handlers ran; undefined if handlers were not yet timed. */
  readonly processor?: string | undefined;
  /** The phase whose handlers ran; undefined if handlers were not yet timed. */
  readonly phase?: Phase | undefined;
}

/** How often the timer checks whether it is late, while messages arrive. */
const LOOK_MS = 50;
/**
 * While handlers are timed, a handler that takes this long is logged, because all transactions of the process wait for
 * it.
 */
const LONG_MS = 100;
/** How long handlers are timed after a hold. */
const TIMING_MS = 60_000;
/**
 * After a timing that found no slow handler, handlers are not timed again for this long. On a crowded machine the
 * process loses its core for longer than Envoy waits, without a slow handler. Reading the clock twice for each message
 * would cost 10 % more CPU all the time.
 */
const REST_MS = 600_000;
/** How many checks after a hold count as "just after it", until everything that arrived meanwhile has been read. */
const BACKLOG_LOOKS = 2;

/**
 * Detects that something blocked the thread, and the answers of all transactions with it. Synchronous handlers have no
 * timeout. Reading the clock for each message would cost more than the message. So a timer checks whether it is itself
 * late. Only after a hold are handlers timed, one by one, so that the next slow handler can be named.
 *
 * Each server has one. While no messages arrive, no timer runs.
 */
export class ThreadWatch {
  /** True while handlers are timed, after a hold. */
  isTiming = false;
  readonly #timers: Timers;
  readonly #report: (hold: ThreadBlock) => void;
  readonly #timeoutMs: number;
  #looks = 0;
  #isArmed = false;
  #sawMessages = false;
  #dueMs = 0;
  #timingUntilMs = 0;
  #restsUntilMs = 0;
  #hasNamed = false;
  /** The check that a hold delayed. */
  #heldLook = Number.NEGATIVE_INFINITY;
  #timer: unknown;

  /** @param timeoutMs How long Envoy waits for an answer. A hold of this length is reported. */
  constructor(timeoutMs: number, report: (hold: ThreadBlock) => void, timers: Timers = REAL_TIMERS) {
    this.#timeoutMs = timeoutMs;
    this.#report = report;
    this.#timers = timers;
  }

  /** The number of the current interval between two checks. It rises. */
  get stretch(): number {
    return this.#looks;
  }

  /** Call this before handlers run. */
  enter(): void {
    this.#sawMessages = true;
    if (!this.#isArmed) this.#arm(this.#timers.now());
  }

  /** True shortly after a hold: answers that were sent meanwhile may have been too late. */
  get isBehindBlock(): boolean {
    return this.#looks - this.#heldLook <= BACKLOG_LOOKS;
  }

  /** True while the thread is blocked for longer than Envoy waits. Reads the clock. */
  get isHeld(): boolean {
    return this.#isArmed && this.#timers.now() - this.#dueMs >= this.#timeoutMs;
  }

  /** Runs a handler, measures its time, and reports it if it is slow. */
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
   * True if an answer of this interval may have been sent after Envoy had stopped waiting for it: the thread was held
   * for that long during the interval or just before it.
   */
  wasHeld(stretch: number): boolean {
    return this.isBehindBlock && stretch >= this.#heldLook;
  }

  /** Stops the timer. */
  stop(): void {
    this.#timers.clear(this.#timer);
  }

  #arm(nowMs: number): void {
    this.#isArmed = true;
    this.#sawMessages = false;
    this.#dueMs = nowMs + LOOK_MS;
    this.#timer = this.#timers.set(() => this.#look(), LOOK_MS);
    // The timer must not keep the process alive.
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
      // `time()` reports the handler. If one was found, handlers are timed for longer.
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
 * Runs the handlers of a message, and times them while `watch` asks for it. A runner should never throw or reject. If
 * it does, that must not end the process.
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
