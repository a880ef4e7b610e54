import { policyFor, type RunRules } from "../processor/run-rules.ts";
import type { Exchange } from "../protocol/exchange/exchange.ts";
import type { Fault } from "../protocol/fault.ts";
import { type Direction, directionOf, type PhaseMessage } from "../protocol/phase.ts";
import { type FaultOutcome, faultOutcome } from "./fault-policy.ts";

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
