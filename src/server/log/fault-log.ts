import type { Origin } from "../../processor/transaction.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { FaultOutcome } from "../../session/fault-outcome.ts";
import type { HandlerPlace, SessionEnd, SessionObserver, UnenforcedReason } from "../../session/session-observer.ts";
import type { SetupObserver } from "../../session/setup.ts";
import type { ThreadHold } from "../../session/thread-watch.ts";
import { LineLimiters } from "./line-limiter.ts";
import type { Logger } from "./logger.ts";
import { describeFailure, describeThrown } from "./thrown.ts";

/** Why a processor's wish came to nothing, for the one line that warns of it. */
const UNENFORCED: Readonly<Record<UnenforcedReason, string>> = {
  observability_mode: "Envoy only watches (observability_mode), so that nothing of what processors want happens",
  shadow: "shadow mode: handlers run, and nothing of what they want happens",
  immediate_response_disabled: "a processor answered itself, and Envoy takes no immediate response",
  immediate_response_too_late: "a processor answered itself when response headers had left: Envoy resets the client",
  body_not_sent: "Envoy does not send a body that a body handler wants, so that it passes unseen",
  request_headers_not_sent:
    "a handler read tx.request, which is empty: Envoy does not send request headers; set request_header_mode: SEND",
  phase_not_sent: "Envoy does not send headers that a handler wants, so that they pass unseen",
  answer_too_late: "an answer left after Envoy had stopped to wait for it, so that it does not count",
  override_ignored:
    "Envoy seems to ignore mode overrides: set allow_mode_override in its filter, and add the modes to allowed_override_modes, or declare envoy.allowModeOverride as the filter has it",
};

/**
 * Logs faults, those of the peer as warnings: their code, source, processor and what became of the transaction, and the
 * class, name, code and place of what a handler threw, but not its message, which may quote a header. The message of a
 * failed `setup` or `close` is logged: these see no transaction. Above ten lines a second faults are only counted, and the
 * next line says how many were left out.
 */
export class FaultLog implements SessionObserver, SetupObserver {
  readonly #log: Logger;
  readonly #limiters: LineLimiters;
  /** Reasons with the handler that they were about, each of which is warned of once. */
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
      `processor "${processor}", ${phase}: the stream ended before the answer, because the client left or Envoy stopped waiting; if no client left, ${setting}; this is said once, and counted`,
    );
  }

  fault({ code, source, processor, message, cause }: Fault, outcome: FaultOutcome, origin: Origin): void {
    const line = this.#limiters.next(code);
    if (line === undefined) return;
    const fields = { fault: code, source, processor, outcome, origin, ...line };
    // A processor's schema that threw is the author's to mend; what else the peer causes has no place in any code.
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
        `${where}${UNENFORCED[reason]}${hint}; this is said once, and counted`,
      );
    }
    const line = reason === "shadow" ? this.#limiters.next("shadow") : undefined;
    if (line) this.#log.info({ wanted, origin, ...line }, "Shadow mode: this would have happened");
  }

  threadHeld({ heldMs, processor, phase, isTimedNext }: ThreadHold): void {
    const line = this.#limiters.next("thread held");
    if (line === undefined) return;
    const who = processor === undefined ? "Something" : `A handler of processor "${processor}", ${phase},`;
    const unnamed = isTimedNext
      ? "handlers are timed for a minute now, so that the next one is named"
      : "no handler held it in the minute behind an earlier hold: does the process get too little CPU time?";
    const hint = processor === undefined ? unnamed : "make it asynchronous, or move the work into a worker thread";
    // Without a handler's name the cause may be another one, such as a machine without time for us.
    this.#log[processor === undefined ? "info" : "warn"](
      { heldMs: Math.round(heldMs), processor, phase, ...line },
      `${who} held the thread for ${Math.round(heldMs)} ms, and no answer left meanwhile; ${hint}`,
    );
  }

  doneFailed(processor: string, cause: unknown, origin: Origin): void {
    const line = this.#limiters.next("done failed");
    if (line) this.#log.error({ processor, origin, ...describeThrown(cause), ...line }, "A done of a processor failed");
  }

  ready(processor: string): void {
    this.#log.info({ processor }, "A processor is set up");
  }

  failed(processor: string, cause: unknown, retryMs: number): void {
    this.#log.error(
      { processor, retryMs, ...describeFailure(cause) },
      "The setup of a processor failed; it is tried again",
    );
  }

  closeFailed(processor: string, cause: unknown): void {
    const failure = cause === undefined ? "took too long" : "failed";
    this.#log.error({ processor, ...describeFailure(cause) }, `The close of a processor ${failure}`);
  }
}
