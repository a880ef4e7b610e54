import type { ProcessingRequest } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { TransactionResult, TransactionScope } from "../processor/transaction.ts";
import type { Fault } from "../protocol/fault.ts";
import type { Phase } from "../protocol/phase.ts";
import type { AnswerSummary } from "./answer-summary.ts";
import type { FaultOutcome } from "./fault-policy.ts";

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
