import { handles } from "../processor/run-rules.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import type { BodyPhase, Direction } from "../protocol/phase.ts";
import { REAL_TIMERS, type Timers } from "./answer-timeout.ts";
import type { PassedHandlers } from "./passed-handlers.ts";
import type { SessionOutlet } from "./session-observer.ts";
import type { SessionOptions } from "./session-options.ts";

/** Receives the fault if the body does not arrive in time. */
export interface BodyWaitOwner {
  fail(failure: Fault): void;
}

/**
 * A request whose body sends nothing for this long is treated as empty, in milliseconds. A shorter time would delay
 * empty requests less. But if the first piece arrives while the release message is on its way, the client gets a 500.
 */
export const EMPTY_REQUEST_AFTER_MS = 1000;

/**
 * The body is checked a first time this long before the release. LATE_MS: the maximum delay of a check, in
 * milliseconds.
 */
const LOOK_MS = 100;
const LATE_MS = 20;

const IF_EMPTY =
  "if the body is empty, Envoy hangs after this override (before 1.40, or with trailers): configure FULL_DUPLEX_STREAMED for the route; ignore this if the body is only slow";

/**
 * Waits for a body on which Envoy can hang after an override. Envoy hangs without a message until its own idle timeout,
 * in these cases:
 *
 * - BUFFERED: the body is larger than Envoy's buffer limit. Envoy stops reading it.
 * - FULL_DUPLEX_STREAMED: Envoy has the whole message when the override arrives, and the body is empty (an empty last
 *   chunk or DATA frame before Envoy 1.40, trailers without a body in every release).
 *
 * In FULL_DUPLEX_STREAMED the body may also be slow. So the server releases a request with a message that Envoy ignores
 * if the body is still to come. If that message could end the stream, a handler that needs the whole body gets a fault.
 * A handler that takes pieces is only counted, because its body may send nothing for hours.
 *
 * A new wait replaces the one before: when a response has headers, its request does not hang.
 */
export class BodyWait {
  readonly #owner: BodyWaitOwner;
  readonly #outlet: Pick<SessionOutlet, "send">;
  readonly #timers: Timers;
  readonly #passed: PassedHandlers;
  #timer: unknown;

  constructor(owner: BodyWaitOwner, passed: PassedHandlers, { outlet, timers }: SessionOptions) {
    this.#owner = owner;
    this.#passed = passed;
    this.#outlet = outlet;
    this.#timers = timers ?? REAL_TIMERS;
  }

  /** Starts the wait. Call this after the answer to the headers of a direction was sent with an override. */
  start(direction: Direction): void {
    const { exchange } = this.#passed.parts;
    const mode = exchange.overrides?.hangingMode(direction);
    if (mode === undefined) return;
    this.stop();
    if (mode === "FULL_DUPLEX_STREAMED" && direction === "request" && this.#mayRelease) {
      this.#releaseIfEmpty(EMPTY_REQUEST_AFTER_MS - LOOK_MS, false);
      return;
    }
    this.#timer = this.#timers.set(() => {
      if (exchange.overrides?.hangingMode(direction) !== mode) return;
      if (mode === "BUFFERED") this.#bufferedStalled(direction);
      else this.#duplexSilent(direction);
    }, exchange.declaration.overriddenBodyTimeoutMs);
  }

  /** Stops the wait. */
  stop(): void {
    this.#timers.clear(this.#timer);
  }

  /** True if the request may be released. Its trailers then pass without their handlers. */
  get #mayRelease(): boolean {
    const { exchange, rules } = this.#passed.parts;
    const isPossible = exchange.overrides?.emptyRequestRelease !== undefined;
    return isPossible && !rules.definitions.some((definition) => handles(definition, "requestTrailers"));
  }

  /**
   * A busy thread runs a timer before it reads what has arrived. So the last check must be on time; the first one need
   * not.
   */
  #releaseIfEmpty(waitMs: number, isLast: boolean): void {
    const { overrides } = this.#passed.parts.exchange;
    const dueMs = this.#timers.now() + waitMs;
    this.#timer = this.#timers.set(() => {
      if (overrides?.hangingMode("request") !== "FULL_DUPLEX_STREAMED") return;
      const isLate = this.#timers.now() - dueMs > LATE_MS;
      if (!isLast || isLate) this.#releaseIfEmpty(LOOK_MS, true);
      else if (overrides.emptyRequestRelease !== undefined) this.#outlet.send(overrides.emptyRequestRelease);
    }, waitMs);
  }

  #bufferedStalled(direction: Direction): void {
    const { overriddenBodyTimeoutMs, bufferLimitBytes } = this.#passed.parts.exchange.declaration;
    const phase = bodyOf(direction);
    const text = `${phase}: an override asked for it in BUFFERED, and Envoy did not send it within envoy.overriddenBodyTimeoutMs (${overriddenBodyTimeoutMs})`;
    const limit = `the body is above Envoy's buffer limit: lower envoy.bufferLimitBytes (${bufferLimitBytes}) to that limit`;
    const declared = "the filter has no allow_mode_override: declare envoy.allowModeOverride false";
    this.#owner.fail(fault("body_stalled", `${text}. Either ${limit}; or ${declared}; or the body is slow`, { phase }));
  }

  #duplexSilent(direction: Direction): void {
    const { exchange, bodies } = this.#passed.parts;
    const phase = bodyOf(direction);
    if (bodies?.of(direction).pipeline?.plan.needsWhole !== true) {
      this.#passed.overrideUnseen(phase, IF_EMPTY);
      return;
    }
    const { overriddenBodyTimeoutMs } = exchange.declaration;
    const text = `${phase}: an override asked for it in FULL_DUPLEX_STREAMED, and Envoy sent nothing of it within envoy.overriddenBodyTimeoutMs (${overriddenBodyTimeoutMs})`;
    this.#owner.fail(fault("body_stalled", `${text}; ${IF_EMPTY}`, { phase }));
  }
}

function bodyOf(direction: Direction): BodyPhase {
  return direction === "request" ? "requestBody" : "responseBody";
}
