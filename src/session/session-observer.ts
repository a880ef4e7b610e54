import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { RunRules } from "../processor/run-rules.ts";
import type { Origin, TransactionResult, TransactionScope } from "../processor/transaction.ts";
import type { Fault } from "../protocol/fault.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import type { Timers } from "./answer-timeout.ts";
import { type AnswerSummary, describeSummary, SessionRecord } from "./decision.ts";
import type { FaultOutcome } from "./fault-outcome.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";
import type { SharedSessionOptions } from "./session-options.ts";
import type { ThreadBlock } from "./thread-watch.ts";

/** How a transaction ended. */
export type SessionResult = TransactionResult;

/** Every result, for counters that start at 0. */
export const SESSION_RESULTS: readonly SessionResult[] = [
  "completed",
  "immediate_response",
  "fault",
  "unanswered",
  "canceled",
];

/** True for a transaction whose stream Envoy ended early. Such a stream never ends with OK, which lets the message pass. */
export function isCutOff(result: SessionResult): boolean {
  return result === "unanswered" || result === "canceled";
}

/** The error message at the end of an `unanswered` or `canceled` transaction, if the stream can still carry it. */
export const CUT_OFF = "the peer ended its messages before it got an answer that waits for more of them";

/** The end of a transaction; `fault` is set if `result` is `fault`. */
export interface SessionEnd {
  readonly result: SessionResult;
  /** The first fault of the transaction, whatever its outcome. */
  readonly fault?: Fault | undefined;
  /** The gRPC error that the stream ends with; undefined if it ends with OK. */
  readonly error?: Fault | undefined;
  /**
   * True if Envoy ignores all answers (`observability_mode`). The stream then ends with OK even after a fault, because
   * an error would fail the transaction that Envoy only copies to this server.
   */
  readonly observed?: boolean | undefined;
  /** The handler that the transaction waited for, if `result` is `unanswered`. */
  readonly waiting?: HandlerPlace | undefined;
}

/**
 * Why something that a processor wanted did not happen.
 *
 * - `observability_mode`: Envoy ignores all answers.
 * - `shadow`: the server runs in shadow mode.
 * - `immediate_response_disabled`: an immediate response, and `disableImmediateResponse` is declared.
 * - `immediate_response_too_late`: the response headers had left, so Envoy resets the client instead.
 * - `body_not_sent`: Envoy does not send the body that a body handler wants, or sends only its beginning.
 * - `request_headers_not_sent`: a handler read `tx.request`, and Envoy did not send the request headers.
 * - `phase_not_sent`: Envoy skipped headers that a handler wants.
 * - `answer_too_late`: the answer was sent after Envoy had stopped waiting for it.
 * - `override_ignored`: Envoy sent what a mode override asked it not to send, or nothing of a body that one asked for.
 */
export type UnenforcedReason =
  | "observability_mode"
  | "shadow"
  | "immediate_response_disabled"
  | "immediate_response_too_late"
  | "body_not_sent"
  | "request_headers_not_sent"
  | "phase_not_sent"
  | "answer_too_late"
  | "override_ignored";

/** Names one handler. */
export interface HandlerPlace {
  /** Name of the processor. */
  readonly processor: string;
  readonly phase: Phase;
  /** An instruction: what to change so that it does not happen again. */
  readonly setting: string;
}

/** Every reason, for counters that start at 0. */
export const UNENFORCED_REASONS: readonly UnenforcedReason[] = [
  "observability_mode",
  "shadow",
  "immediate_response_disabled",
  "immediate_response_too_late",
  "body_not_sent",
  "request_headers_not_sent",
  "phase_not_sent",
  "answer_too_late",
  "override_ignored",
];

/** Receives a session's answers. Its methods must not throw. */
export interface SessionOutlet {
  /** Called with each answer, in the order in which they must be sent. */
  send(response: ProcessingResponse): void;
  /** The last call: the stream ends, with an error if there is one. */
  ended(end: SessionEnd): void;
  /**
   * Resolves when there is room for more answers, or when the stream is gone; undefined while there is room. If this
   * method is absent, all answers are kept. Then the output of one piece of a body is limited like other held bytes.
   */
  drained?(): Promise<void> | undefined;
  /** An asynchronous handler settled, perhaps without an answer. There may be room for more messages. */
  settled?(): void;
}

/** Watches sessions, for counters and logs. Its methods must not throw. */
export interface SessionObserver {
  /** A message opened a phase. */
  message(phase: Phase, origin: Origin): void;
  /** A transaction is over. */
  ended(end: SessionEnd, origin: Origin): void;
  /** Something failed. Called once for each fault, before its outcome takes effect. */
  fault?(fault: Fault, outcome: FaultOutcome, origin: Origin): void;
  /**
   * A processor wanted something that did not happen. `wanted` says what, without any value. `place` names the handler,
   * if it concerns one handler.
   */
  unenforced?(reason: UnenforcedReason, wanted: string, origin: Origin, place?: HandlerPlace): void;
  /** Something blocked the thread, and all answers with it. */
  threadBlocked?(hold: ThreadBlock): void;
  /** A `done` of a processor threw. */
  doneFailed?(processor: string, cause: unknown, origin: Origin): void;
}

/**
 * What one session reports: to its observer, which counts and logs, and to the record for `done` hooks and the decision
 * log.
 */
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

  /** The first message came. Only a `done` hook and a sampled decision need a record of the transaction. */
  begin(message: ProcessingRequest, timers: Timers): void {
    const { hasDone, shadow } = this.#rules;
    const sampled = this.#shared.decisions?.samples(message) === true;
    if (hasDone || sampled) this.#record = new SessionRecord(timers, { sampled, shadow });
  }

  /** Answers were sent. */
  sent(message: PhaseMessage, responses: readonly ProcessingResponse[]): void {
    this.#record?.sent(message.case, responses);
  }

  /** An answer would have been sent, in shadow or observability mode. */
  pretended(message: PhaseMessage, summary: AnswerSummary): void {
    this.#record?.pretended(message.case, summary);
    this.unenforced(this.#rules.shadow ? "shadow" : "observability_mode", describeSummary(summary));
  }

  /** Reports a fault, if there is one, and its outcome. The first fault is the result of the transaction. */
  fault(failure: Fault | undefined, outcome: FaultOutcome): void {
    if (failure === undefined) return;
    this.#fault ??= failure;
    this.#record?.failed(outcome);
    this.#shared.observer?.fault?.(failure, outcome, this.#origin);
  }

  /**
   * Reports a fault whose outcome the policy decided. Also reports if the mode in which the server runs prevented that
   * outcome.
   */
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

  /** The transaction is over. Completes the record, and returns the end with the first fault, if there was one. */
  end(ended: SessionEnd, scope: TransactionScope, chain: HandlerChain): SessionEnd {
    const fault = this.#fault;
    const end = fault === undefined ? ended : { ...ended, result: "fault" as const, fault };
    this.#record?.tellEnd(end, { scope, chain, shared: this.#shared });
    return end;
  }
}
