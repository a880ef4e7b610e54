import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Phase } from "../protocol/phase.ts";
import { type AnswerSummary, summarizeAnswers } from "./answer-summary.ts";
import { addToTrail, type Decision, type DecisionTrail } from "./decision.ts";
import type { FaultOutcome } from "./fault-policy.ts";
import type { Timers } from "./timers.ts";

/** What is remembered of one transaction for its end. Made only where a `done` or the decision log asks for it. */
export class SessionRecord {
  readonly #timers: Timers;
  readonly #startMs: number;
  readonly #trail: DecisionTrail | undefined;
  #faultOutcome: FaultOutcome | undefined;

  /** `sampled`: the transaction belongs to the sample of the decision log. */
  constructor(timers: Timers, sampled: boolean) {
    this.#timers = timers;
    this.#startMs = timers.now();
    this.#trail = sampled ? {} : undefined;
  }

  /** Since the first message. */
  get durationMs(): number {
    return this.#timers.now() - this.#startMs;
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

  /** What was decided; undefined where the transaction belongs to no sample. */
  decision(ending: Omit<Decision, "trail" | "faultOutcome">): Decision | undefined {
    return this.#trail && { ...ending, trail: this.#trail, faultOutcome: this.#faultOutcome };
  }
}
