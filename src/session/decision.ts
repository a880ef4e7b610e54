import type {
  HeaderMutation,
  ProcessingRequest,
  ProcessingResponse,
  StreamedImmediateResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { TransactionResult, TransactionScope } from "../processor/transaction.ts";
import type { Answer } from "../protocol/answers/answer.ts";
import { MessageExchange, type MessageExchangeOptions } from "../protocol/exchange/exchange.ts";
import type { Fault } from "../protocol/fault.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import type { Timers } from "./answer-timeout.ts";
import type { FaultOutcome } from "./fault-outcome.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";
import type { SessionEnd } from "./session-observer.ts";
import type { SharedSessionOptions } from "./session-options.ts";

/** What was answered in each phase of one transaction. */
export type DecisionTrail = Partial<Record<Phase, AnswerSummary>>;

/** What is known about a transaction at its end. */
export interface Decision {
  readonly trail: DecisionTrail;
  readonly result: TransactionResult;
  readonly fault: Fault | undefined;
  readonly faultOutcome: FaultOutcome | undefined;
  readonly durationMs: number;
  readonly scope: TransactionScope;
  /** The mode in which Envoy did not get the answers; undefined if Envoy got them. */
  readonly pretended: "shadow" | "observability_mode" | undefined;
}

/** Records decisions. Its methods must not throw. */
export interface DecisionLog {
  /** True if the transaction that begins with this message belongs to the sample. */
  samples(first: ProcessingRequest): boolean;
  /** Called when a transaction of the sample is over. */
  record(decision: Decision): void;
}

/** Adds the answer to one message. A body has several messages. */
export function addToTrail(trail: DecisionTrail, phase: Phase, summary: AnswerSummary | undefined): void {
  if (summary !== undefined) trail[phase] = { ...trail[phase], ...summary };
}

/** What answers do, by names only: without header values, bodies or metadata values. */
export interface AnswerSummary {
  readonly set?: readonly string[];
  readonly append?: readonly string[];
  readonly remove?: readonly string[];
  /** Status of an immediate response. */
  readonly immediateResponse?: number;
  /** Namespaces of dynamic metadata. */
  readonly metadata?: readonly string[];
  readonly body?: "replaced" | "cleared";
  readonly modeOverride?: true;
  readonly clearRouteCache?: true;
}

/** Summarizes the answer to one message; undefined if the message passes unchanged. */
export function summarizeAnswers(responses: readonly ProcessingResponse[]): AnswerSummary | undefined {
  let summary: AnswerSummary = {};
  for (const response of responses) summary = { ...summary, ...summarize(response) };
  return Object.keys(summary).length > 0 ? summary : undefined;
}

/** Describes a summary in words, for a log line. */
export function describeSummary(summary: AnswerSummary): string {
  return Object.entries(summary)
    .map(([what, value]) => (value === true ? what : `${what} ${Array.isArray(value) ? value.join(", ") : value}`))
    .join("; ");
}

function summarize({
  response,
  dynamicMetadata,
  typedDynamicMetadata,
  modeOverride,
}: ProcessingResponse): AnswerSummary {
  const namespaces = Object.keys({ ...dynamicMetadata, ...typedDynamicMetadata });
  return {
    ...summarizeMember(response),
    ...(namespaces.length > 0 && { metadata: namespaces }),
    ...(modeOverride && { modeOverride: true }),
  };
}

function summarizeMember(response: ProcessingResponse["response"]): AnswerSummary {
  switch (response.case) {
    case "immediateResponse":
      return { ...summarizeMutation(response.value.headers), immediateResponse: response.value.status?.code ?? 200 };
    case "streamedImmediateResponse":
      return summarizeStreamed(response.value);
    case "requestHeaders":
    case "responseHeaders":
    case "requestBody":
    case "responseBody": {
      const { headerMutation, bodyMutation, clearRouteCache } = response.value.response ?? {};
      return {
        ...summarizeMutation(headerMutation),
        ...summarizeBody(bodyMutation?.mutation.case),
        ...(clearRouteCache && { clearRouteCache }),
      };
    }
    case "requestTrailers":
    case "responseTrailers":
      return summarizeMutation(response.value.headerMutation);
    default:
      return {};
  }
}

function summarizeStreamed({ response }: StreamedImmediateResponse): AnswerSummary {
  if (response.case !== "headersResponse") return {};
  const status = response.value.headers?.headers.find(({ key }) => key === ":status");
  return { immediateResponse: status === undefined ? 0 : Number(new TextDecoder().decode(status.rawValue)) };
}

function summarizeBody(kind: "body" | "clearBody" | "streamedResponse" | undefined): AnswerSummary {
  // A piece that is sent back may be the piece that came, so this alone is not a change.
  if (kind === undefined || kind === "streamedResponse") return {};
  return { body: kind === "body" ? "replaced" : "cleared" };
}

function summarizeMutation(mutation: HeaderMutation | undefined): AnswerSummary {
  if (mutation === undefined) return {};
  const { setHeaders, removeHeaders } = mutation;
  const names = (appended: boolean) =>
    setHeaders.filter(({ append }) => (append ?? false) === appended).map(({ header }) => header?.key ?? "");
  const [set, append] = [names(false), names(true)];
  return {
    ...(set.length > 0 && { set }),
    ...(append.length > 0 && { append }),
    ...(removeHeaders.length > 0 && { remove: removeHeaders }),
  };
}

/**
 * An exchange in which every answer takes effect. It runs in parallel to the real exchange if Envoy gets only neutral answers.
 */
export class ImaginedExchange {
  readonly #exchange: MessageExchange;

  constructor(options: MessageExchangeOptions) {
    this.#exchange = new MessageExchange(options);
  }

  /**
   * Takes a message that the real exchange has accepted. Envoy might not have sent it after an override; that is not
   * checked.
   */
  accept(message: ProcessingRequest): void {
    this.#exchange.accept(message.observabilityMode ? { ...message, observabilityMode: false } : message);
  }

  /** Returns what the answer would have done; undefined if nothing. */
  answer(message: PhaseMessage, answer: Answer): AnswerSummary | undefined {
    return summarizeAnswers(this.#exchange.answer(message, answer));
  }
}

/** Collects what the end of one transaction needs. It is made only if a `done` hook or the decision log needs it. */
export class SessionRecord {
  readonly #timers: Timers;
  readonly #startMs: number;
  readonly #trail: DecisionTrail | undefined;
  readonly #shadow: boolean;
  #faultOutcome: FaultOutcome | undefined;

  /** @param sampled True if the transaction belongs to the sample of the decision log. */
  constructor(timers: Timers, { sampled, shadow }: { readonly sampled: boolean; readonly shadow: boolean }) {
    this.#timers = timers;
    this.#shadow = shadow;
    this.#startMs = timers.now();
    this.#trail = sampled ? {} : undefined;
  }

  /** Answers were sent. */
  sent(phase: Phase, responses: readonly ProcessingResponse[]): void {
    if (this.#trail) addToTrail(this.#trail, phase, summarizeAnswers(responses));
  }

  /** An answer would have been sent. */
  pretended(phase: Phase, summary: AnswerSummary): void {
    if (this.#trail) addToTrail(this.#trail, phase, summary);
  }

  /** The first fault got this outcome. */
  failed(outcome: FaultOutcome): void {
    this.#faultOutcome ??= outcome;
  }

  /** Calls the `done` hooks and the decision log at the end of the transaction. */
  tellEnd({ result, fault }: SessionEnd, { scope, chain, shared }: RecordedParts): void {
    const { observer, decisions } = shared;
    const ending = { result, fault, durationMs: this.#timers.now() - this.#startMs };
    chain.done(ending, (processor, cause) => observer?.doneFailed?.(processor, cause, scope.origin));
    if (this.#trail === undefined) return;
    const observed = scope.exchange.observabilityMode ? "observability_mode" : undefined;
    const pretended = this.#shadow ? "shadow" : observed;
    decisions?.record({ ...ending, scope, pretended, trail: this.#trail, faultOutcome: this.#faultOutcome });
  }
}

/** The parts of a session that `tellEnd()` needs. */
interface RecordedParts {
  readonly scope: TransactionScope;
  readonly chain: HandlerChain;
  readonly shared: Pick<SharedSessionOptions, "observer" | "decisions">;
}
