import type {
  HeaderMutation,
  ProcessingRequest,
  ProcessingResponse,
  StreamedImmediateResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { TransactionResult, TransactionScope } from "../processor/transaction.ts";
import type { Answer } from "../protocol/answers/answer.ts";
import { Exchange, type ExchangeOptions } from "../protocol/exchange/exchange.ts";
import type { Fault } from "../protocol/fault.ts";
import type { Phase, PhaseMessage } from "../protocol/phase.ts";
import type { Timers } from "./answer-time.ts";
import type { FaultOutcome } from "./fault-outcome.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";
import type { SessionEnd } from "./session-observer.ts";
import type { SharedSessionOptions } from "./session-options.ts";

/** What was answered in one transaction, phase by phase. */
export type DecisionTrail = Partial<Record<Phase, AnswerSummary>>;

/** What is known of a transaction at its end. */
export interface Decision {
  readonly trail: DecisionTrail;
  readonly result: TransactionResult;
  readonly fault: Fault | undefined;
  readonly faultOutcome: FaultOutcome | undefined;
  readonly durationMs: number;
  readonly scope: TransactionScope;
  /** Why none of it happened; undefined where it did. */
  readonly pretended: "shadow" | "observability_mode" | undefined;
}

/** Keeps what was decided. Methods must not throw. */
export interface DecisionLog {
  /** True where the transaction that begins with this message belongs to the sample. */
  samples(first: ProcessingRequest): boolean;
  /** A transaction of the sample is over. */
  record(decision: Decision): void;
}

/** Adds what was answered to one message; a body has several. */
export function addToTrail(trail: DecisionTrail, phase: Phase, summary: AnswerSummary | undefined): void {
  if (summary !== undefined) trail[phase] = { ...trail[phase], ...summary };
}

/** What answers do, by names alone: no value of a header, no body, no metadata. */
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

/** Sums up what was answered to one message; undefined where that lets it pass unchanged. */
export function summarizeAnswers(responses: readonly ProcessingResponse[]): AnswerSummary | undefined {
  let summary: AnswerSummary = {};
  for (const response of responses) summary = { ...summary, ...summarize(response) };
  return Object.keys(summary).length > 0 ? summary : undefined;
}

/** The same in words, for a log line. */
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
  // What goes back piece by piece may be what came: that alone is no change.
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

/** The transaction as it would go if its answers were obeyed: beside the real one, where they are not. */
export class ImaginedExchange {
  readonly #exchange: Exchange;

  constructor(options: ExchangeOptions) {
    this.#exchange = new Exchange(options);
  }

  /** Takes a message that the real exchange has accepted. What would not have come, as after an override, is no matter. */
  accept(message: ProcessingRequest): void {
    this.#exchange.accept(message.observabilityMode ? { ...message, observabilityMode: false } : message);
  }

  /** What the answer would have done; undefined where nothing. */
  answer(message: PhaseMessage, answer: Answer): AnswerSummary | undefined {
    return summarizeAnswers(this.#exchange.answer(message, answer));
  }
}

/** What is remembered of one transaction for its end. Made only where a `done` or the decision log asks for it. */
export class SessionRecord {
  readonly #timers: Timers;
  readonly #startMs: number;
  readonly #trail: DecisionTrail | undefined;
  readonly #shadow: boolean;
  #faultOutcome: FaultOutcome | undefined;

  /** `sampled`: the transaction belongs to the sample of the decision log. */
  constructor(timers: Timers, { sampled, shadow }: { readonly sampled: boolean; readonly shadow: boolean }) {
    this.#timers = timers;
    this.#shadow = shadow;
    this.#startMs = timers.now();
    this.#trail = sampled ? {} : undefined;
  }

  /** Answers that went out. */
  sent(phase: Phase, responses: readonly ProcessingResponse[]): void {
    if (this.#trail) addToTrail(this.#trail, phase, summarizeAnswers(responses));
  }

  /** An answer that would have gone out. */
  pretended(phase: Phase, summary: AnswerSummary): void {
    if (this.#trail) addToTrail(this.#trail, phase, summary);
  }

  /** What the first fault came to. */
  failed(outcome: FaultOutcome): void {
    this.#faultOutcome ??= outcome;
  }

  /** Tells `done` of the processors, and the decision log, that the transaction is over. */
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

/** What a transaction consists of. */
interface RecordedParts {
  readonly scope: TransactionScope;
  readonly chain: HandlerChain;
  readonly shared: Pick<SharedSessionOptions, "observer" | "decisions">;
}
