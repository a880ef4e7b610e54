import type { Exchange } from "../protocol/exchange.ts";
import { type Fault, fault } from "../protocol/fault.ts";
import type { Timers } from "./timers.ts";

/** Gets the fault if the body does not come in time. */
export interface BodyWaitOwner {
  fail(failure: Fault): void;
}

/**
 * The wait for a body that an override asked to be BUFFERED. Above its buffer limit Envoy stops reading the body and sends
 * nothing more, so the wait must end by itself. One transaction can have two such waits, one after the other.
 *
 * Overrides to other modes have no wait: a body that streams may be silent for hours, and then its silence proves nothing.
 */
export class BodyWait {
  readonly #timers: Timers;
  #timer: unknown;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** Call it after an answer with an override has left. Sets a timer only if the override asked for such a body. */
  start(owner: BodyWaitOwner, exchange: Exchange): void {
    const direction = exchange.bufferedBodyDue;
    if (direction === undefined) return;
    const { overriddenBodyTimeoutMs, bufferLimitBytes } = exchange.declaration;
    this.stop();
    this.#timer = this.#timers.set(() => {
      if (exchange.bufferedBodyDue !== direction) return;
      const phase = direction === "request" ? "requestBody" : "responseBody";
      const text = `${phase}: an override asked for it in BUFFERED, and Envoy did not send it within envoy.overriddenBodyTimeoutMs (${overriddenBodyTimeoutMs})`;
      const limit = `the body is above Envoy's buffer limit: lower envoy.bufferLimitBytes (${bufferLimitBytes}) to that limit`;
      const declared = "the filter has no allow_mode_override: declare envoy.allowModeOverride false";
      owner.fail(fault("body_stalled", `${text}. Either ${limit}; or ${declared}; or the body is slow`, { phase }));
    }, overriddenBodyTimeoutMs);
  }

  /** Ends the wait. */
  stop(): void {
    this.#timers.clear(this.#timer);
  }
}
