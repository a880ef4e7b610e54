import type { FaultPolicy } from "../processor/definition.ts";
import { policyFor, type RunRules } from "../processor/run-rules.ts";
import type { MessageExchange } from "../protocol/exchange/exchange.ts";
import type { Fault } from "../protocol/fault.ts";
import { type Direction, directionOf, type PhaseMessage } from "../protocol/phase.ts";

/**
 * What the server did with the transaction of a fault.
 *
 * - `grpc_error`: the stream ended with a gRPC error, as the policy says. Envoy's `failure_mode_allow` decides what
 *   follows.
 * - `immediate_response`: the client got 500, or 503 if the server shuts down or is not ready.
 * - `fail_closed_by_error`: the policy wanted an immediate response, but Envoy no longer accepts one. The stream ended
 *   with a gRPC error.
 * - `passed`: the transaction goes on unchanged, without handlers.
 * - `fail_open_impossible`: the policy wanted the message to pass, but no answer lets it pass. The stream ended with a
 *   gRPC error.
 * - `bytes_lost`: the stream was over before the fault, and a body was sent without its last bytes. No policy changes
 *   that.
 * - `observed`: Envoy ignores all answers (`observability_mode`), so the fault had no effect.
 * - `shadow`: the server runs with `--shadow`, so the transaction went on unchanged, without handlers.
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

/** What can still be done with a transaction at the moment of a fault. */
export interface FaultCircumstances {
  readonly observed: boolean;
  readonly shadow: boolean;
  /** Envoy still accepts an immediate response. */
  readonly takesImmediateResponse: boolean;
  /** Every message that waits for an answer can pass unchanged, and no bytes are held back. */
  readonly canPass: boolean;
}

/** Returns the outcome of a fault with this policy. */
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

/** Where a fault happened. */
export interface FaultPlace {
  readonly rules: RunRules;
  readonly exchange: MessageExchange;
  /** The message of the fault. Without a message there is no answer that could let it pass. */
  readonly message: PhaseMessage | undefined;
}

/** The direction of a fault. For a message that could not be read it is the direction of the next expected message. */
export function directionOfFault(
  { code, phase }: Fault,
  { exchange, message }: Pick<FaultPlace, "exchange" | "message">,
): Direction | undefined {
  const known = message?.case ?? phase;
  if (known !== undefined) return directionOf(known);
  if (code !== "message_too_large" && code !== "message_memory_exceeded") return undefined;
  return exchange.headers("response") === undefined ? "request" : "response";
}

/** Decides the outcome of a fault from the policies and from what is still possible. */
export function decideFault(failure: Fault, { rules, exchange, message }: FaultPlace): FaultOutcome {
  const isDraining = failure.code === "server_draining";
  const obstacle = exchange.immediateObstacle;
  // On a `body_stalled` fault Envoy may still hold the response headers. If the body is only slow, Envoy resets the
  // client.
  const mayHoldHeaders = failure.code === "body_stalled" && obstacle === "response_begun";
  const policy = policyFor(rules, failure, (phase) => exchange.awaits(phase));
  return faultOutcome(policy, {
    observed: exchange.observabilityMode,
    shadow: rules.shadow,
    takesImmediateResponse: obstacle === undefined || mayHoldHeaders,
    canPass: exchange.canStillPass && (isDraining ? !exchange.holdsBody : message !== undefined),
  });
}
