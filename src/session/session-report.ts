import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { RunRules } from "../processor/run-rules.ts";
import type { Origin, TransactionScope } from "../processor/transaction.ts";
import type { Fault } from "../protocol/fault.ts";
import type { PhaseMessage } from "../protocol/phase.ts";
import { type AnswerSummary, describeSummary } from "./answer-summary.ts";
import type { FaultOutcome } from "./fault-policy.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";
import type { HandlerPlace, SessionEnd, UnenforcedReason } from "./session-observer.ts";
import type { SharedSessionOptions } from "./session-options.ts";
import { SessionRecord } from "./session-record.ts";
import type { Timers } from "./timers.ts";

/** What one session reports: to its observer, which counts and logs, and to the record that `done` and the decision log use. */
export class SessionReport {
  readonly #rules: RunRules;
  readonly #shared: SharedSessionOptions;
  readonly #origin: Origin;
  #record: SessionRecord | undefined;
  #fault: Fault | undefined;

  constructor(rules: RunRules, shared: SharedSessionOptions, origin: Origin) {
    this.#rules = rules;
    this.#shared = shared;
    this.#origin = origin;
  }

  /** The first message came. Only a `done` handler and a sampled decision need a record of the transaction. */
  begin(message: ProcessingRequest, timers: Timers): void {
    const { hasDone, shadow } = this.#rules;
    const sampled = this.#shared.decisions?.samples(message) === true;
    if (hasDone || sampled) this.#record = new SessionRecord(timers, { sampled, shadow });
  }

  /** Answers left. */
  sent(message: PhaseMessage, responses: readonly ProcessingResponse[]): void {
    this.#record?.sent(message.case, responses);
  }

  /** An answer would have left, in shadow or observability mode. */
  pretended(message: PhaseMessage, summary: AnswerSummary): void {
    this.#record?.pretended(message.case, summary);
    this.unenforced(this.#rules.shadow ? "shadow" : "observability_mode", describeSummary(summary));
  }

  /** A fault, if there is one, and what came of it. The first one is the result of the transaction. */
  fault(failure: Fault | undefined, outcome: FaultOutcome): void {
    if (failure === undefined) return;
    this.#fault ??= failure;
    this.#record?.failed(outcome);
    this.#shared.observer?.fault?.(failure, outcome, this.#origin);
  }

  /** The same for a fault that the policy decides on: what does not happen because of where the processor runs is told too. */
  failed(failure: Fault, outcome: FaultOutcome): void {
    this.fault(failure, outcome);
    if (outcome === "observed") this.unenforced("observability_mode", `fault ${failure.code}`);
    else if (this.#rules.shadow) this.unenforced("shadow", `fault ${failure.code}`);
    else if (failure.code === "immediate_response_disabled") this.unenforced(failure.code, "immediateResponse");
  }

  /** Something that a processor wanted does not happen. */
  unenforced(reason: UnenforcedReason, wanted: string, place?: HandlerPlace): void {
    this.#shared.observer?.unenforced?.(reason, wanted, this.#origin, place);
  }

  /** The transaction is over: tells the record, and returns the end with the first fault, if there was one. */
  end(ended: SessionEnd, scope: TransactionScope, chain: HandlerChain): SessionEnd {
    const fault = this.#fault;
    const end = fault === undefined ? ended : { ...ended, result: "fault" as const, fault };
    this.#record?.tellEnd(end, { scope, chain, shared: this.#shared });
    return end;
  }
}
