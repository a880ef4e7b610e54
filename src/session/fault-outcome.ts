import type { FaultPolicy } from "../processor/definition.ts";
import { policyFor, type RunRules } from "../processor/run-rules.ts";
import type { Exchange } from "../protocol/exchange/exchange.ts";
import type { Fault } from "../protocol/fault.ts";
import { type Direction, directionOf, type PhaseMessage } from "../protocol/phase.ts";

/**
 * What became of the transaction of a fault.
 *
 * - `grpc_error`: the stream ended with a gRPC error, as the policy wants; Envoy's `failure_mode_allow` decides.
 * - `immediate_response`: the client got 500, or 503 where the server goes or is not ready.
 * - `fail_closed_by_error`: the same was wanted, but Envoy takes no immediate response any more: a gRPC error.
 * - `passed`: the transaction goes on unchanged, without handlers.
 * - `fail_open_impossible`: the same was wanted, but the message has no answer that lets it pass: a gRPC error.
 * - `bytes_lost`: the stream was over before the fault, and a body left without its last bytes. No policy changes that.
 * - `observed`: Envoy only watches (`observability_mode`), so nothing came of it.
 * - `shadow`: the server only pretends (`--shadow`), so the transaction went on unchanged, without handlers.
 * - `too_late`: Envoy had gone on before the fault was known, so the policy could not be applied.
 */
export type FaultOutcome =
  | "grpc_error"
  | "immediate_response"
  | "fail_closed_by_error"
  | "passed"
  | "fail_open_impossible"
  | "bytes_lost"
  | "observed"
  | "shadow"
  | "too_late";

/** Every outcome, for counters that start at zero. */
export const FAULT_OUTCOMES: readonly FaultOutcome[] = [
  "grpc_error",
  "immediate_response",
  "fail_closed_by_error",
  "passed",
  "fail_open_impossible",
  "bytes_lost",
  "observed",
  "shadow",
  "too_late",
];

/** What a transaction allows at the moment of a fault. */
export interface FaultCircumstances {
  readonly observed: boolean;
  readonly shadow: boolean;
  /** Envoy takes an immediate response. */
  readonly takesImmediateResponse: boolean;
  /** Every message that is owed an answer has one that lets it pass, and nothing was held back. */
  readonly canPass: boolean;
}

/** What a policy makes of a fault. */
export function faultOutcome(policy: FaultPolicy, circumstances: FaultCircumstances): FaultOutcome {
  const { observed, shadow, takesImmediateResponse, canPass } = circumstances;
  if (observed) return "observed";
  if (shadow) return canPass ? "shadow" : "fail_open_impossible";
  switch (policy) {
    case "envoy":
      return "grpc_error";
    case "closed":
      return takesImmediateResponse ? "immediate_response" : "fail_closed_by_error";
    case "open":
      return canPass ? "passed" : "fail_open_impossible";
  }
}

/** Where a fault happens. */
export interface FaultPlace {
  readonly rules: RunRules;
  readonly exchange: Exchange;
  /** What the fault is about: without a message nothing can be said that would let it pass. */
  readonly message: PhaseMessage | undefined;
}

/** The direction that a fault is about: of a message that could not be read, the one that is due. */
export function directionOfFault(
  { code, phase }: Fault,
  { exchange, message }: Pick<FaultPlace, "exchange" | "message">,
): Direction | undefined {
  const known = message?.case ?? phase;
  if (known !== undefined) return directionOf(known);
  if (code !== "message_too_large" && code !== "message_memory_exceeded") return undefined;
  return exchange.headers("response") === undefined ? "request" : "response";
}

/** What comes of a fault, as policies have it and the transaction still allows. */
export function decideFault(failure: Fault, { rules, exchange, message }: FaultPlace): FaultOutcome {
  const isDraining = failure.code === "server_draining";
  const obstacle = exchange.immediateObstacle;
  // Envoy holds the headers of a response on which it hangs. If the body is only slow, Envoy resets the client.
  const mayHoldHeaders = failure.code === "body_stalled" && obstacle === "response_begun";
  const policy = policyFor(rules, failure, (phase) => exchange.awaits(phase));
  return faultOutcome(policy, {
    observed: exchange.observabilityMode,
    shadow: rules.shadow,
    takesImmediateResponse: obstacle === undefined || mayHoldHeaders,
    canPass: exchange.canStillPass && (isDraining ? !exchange.holdsBody : message !== undefined),
  });
}
