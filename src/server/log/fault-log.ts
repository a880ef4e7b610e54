import type { Origin } from "../../processor/transaction.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { FaultOutcome } from "../../session/fault-outcome.ts";
import type { HandlerPlace, SessionEnd, SessionObserver, UnenforcedReason } from "../../session/session-observer.ts";
import type { SetupObserver } from "../../session/setup.ts";
import type { ThreadBlock } from "../../session/thread-watch.ts";
import { LineLimiters } from "./line-limiter.ts";
import type { Logger } from "./logger.ts";
import { describeFailure, describeThrown } from "./thrown.ts";

/** Why something that a processor wanted did not happen, for the line that warns once. */
const UNENFORCED: Readonly<Record<UnenforcedReason, string>> = {
  observability_mode: "Envoy only sends copies (observability_mode), so nothing that processors want happens",
  shadow: "shadow mode: handlers run, and nothing that they want happens",
  immediate_response_disabled: "a processor returned an immediate response, and Envoy does not accept it",
  immediate_response_too_late:
    "a processor returned an immediate response after the response headers were sent: Envoy resets the client's stream",
  body_not_sent: "Envoy does not send a body that a body handler wants, so the body passes unseen",
  request_headers_not_sent:
    "a handler read tx.request, which is empty: Envoy does not send request headers; set request_header_mode: SEND",
  phase_not_sent: "Envoy does not send headers that a handler wants, so the headers pass unseen",
  answer_too_late: "an answer was sent after Envoy had stopped waiting for it, so it has no effect",
  override_ignored:
    "Envoy seems to ignore mode overrides: set allow_mode_override in its filter, and add the modes to allowed_override_modes, or declare envoy.allowModeOverride to match the filter",
};

/**
 * Logs faults, those caused by Envoy or a client as warnings. A line has the code, the source, the processor and the
 * outcome, and the class, name, code and place of an error that a handler threw. It does not have the error's message,
 * which can quote a header. The message of a failed `setup` or `close` is logged, because these see no transaction.
 * Above 10 lines a second, faults are only counted, and the next line says how many were left out.
 */
export class FaultLog implements SessionObserver, SetupObserver {
  readonly #log: Logger;
  readonly #limiters: LineLimiters;
  /** The reasons, each with its handler, for which a warning was logged. */
  readonly #warned = new Set<string>();

  constructor(log: Logger, limiters = new LineLimiters()) {
    this.#log = log;
    this.#limiters = limiters;
  }

  message(): void {
    // Messages are counted, not logged.
  }

  ended({ waiting }: SessionEnd, origin: Origin): void {
    if (waiting === undefined) return;
    const { processor, phase, setting } = waiting;
    const kind = ["unanswered", processor, phase].join(" ");
    if (this.#warned.has(kind)) return;
    this.#warned.add(kind);
    this.#log.info(
      { result: "unanswered", processor, phase, origin },
      `processor "${processor}", ${phase}: the stream ended before the answer, because the client left or Envoy stopped waiting; if no client left, ${setting}; this is logged once, and counted`,
    );
  }

  fault({ code, source, processor, message, cause }: Fault, outcome: FaultOutcome, origin: Origin): void {
    const line = this.#limiters.next(code);
    if (line === undefined) return;
    const fields = { fault: code, source, processor, outcome, origin, ...line };
    // An error of a processor's schema has a place in the author's code. Other faults that Envoy or a client causes
    // have none.
    const thrown = source !== "envoy" || processor !== undefined ? describeThrown(cause) : {};
    if (source === "envoy") this.#log.warn({ ...fields, ...thrown }, message);
    else this.#log.error({ ...fields, ...thrown }, message);
  }

  unenforced(reason: UnenforcedReason, wanted: string, origin: Origin, place?: HandlerPlace): void {
    const { processor, phase, setting } = place ?? {};
    const kind = [reason, processor, phase].join(" ");
    if (!this.#warned.has(kind)) {
      this.#warned.add(kind);
      const where = place ? `processor "${processor}", ${phase}: ` : "";
      const hint = setting ? `; ${setting}` : "";
      this.#log.warn(
        { reason, processor, phase, origin },
        `${where}${UNENFORCED[reason]}${hint}; this is logged once, and counted`,
      );
    }
    const line = reason === "shadow" ? this.#limiters.next("shadow") : undefined;
    if (line) this.#log.info({ wanted, origin, ...line }, "Shadow mode: this would have happened");
  }

  threadBlocked({ heldMs, processor, phase, isTimedNext }: ThreadBlock): void {
    const line = this.#limiters.next("thread held");
    if (line === undefined) return;
    const who = processor === undefined ? "Something" : `A handler of processor "${processor}", ${phase},`;
    const unnamed = isTimedNext
      ? "for a minute, handlers are now timed, so that the next line can name the handler"
      : "in the minute after an earlier block, no handler blocked it; the process may get too little CPU time";
    const hint = processor === undefined ? unnamed : "make it asynchronous, or move the work into a worker thread";
    // Without the name of a handler the cause can be another one, such as a busy machine.
    this.#log[processor === undefined ? "info" : "warn"](
      { heldMs: Math.round(heldMs), processor, phase, ...line },
      `${who} blocked the thread for ${Math.round(heldMs)} ms, and no answer was sent meanwhile; ${hint}`,
    );
  }

  doneFailed(processor: string, cause: unknown, origin: Origin): void {
    const line = this.#limiters.next("done failed");
    if (line)
      this.#log.error({ processor, origin, ...describeThrown(cause), ...line }, "The done of a processor failed");
  }

  ready(processor: string): void {
    this.#log.info({ processor }, "A processor is set up");
  }

  failed(processor: string, cause: unknown, retryMs: number): void {
    this.#log.error(
      { processor, retryMs, ...describeFailure(cause) },
      "The setup of a processor failed; the server will try again",
    );
  }

  closeFailed(processor: string, cause: unknown): void {
    const failure = cause === undefined ? "took too long" : "failed";
    this.#log.error({ processor, ...describeFailure(cause) }, `The close of a processor ${failure}`);
  }
}
