import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { TransactionScope } from "../processor/transaction.ts";
import type { Phase } from "../protocol/phase.ts";
import { type AnswerSummary, summarizeAnswers } from "./answer-summary.ts";
import { addToTrail, type DecisionTrail } from "./decision.ts";
import type { FaultOutcome } from "./fault-policy.ts";
import type { HandlerChain } from "./fold/run-handlers.ts";
import type { SessionEnd } from "./session-observer.ts";
import type { SharedSessionOptions } from "./session-options.ts";
import type { Timers } from "./timers.ts";

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
