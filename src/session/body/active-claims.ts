import type { StreamBudget } from "../../memory/body-budget.ts";
import type { BodyClaim } from "../../processor/body-claims.ts";
import { ScopedTransaction } from "../../processor/transaction.ts";
import type { MessageExchange } from "../../protocol/exchange/exchange.ts";
import type { Fault } from "../../protocol/fault.ts";
import { isPartOfMore } from "../../protocol/headers/framing-rules.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import type { HandlerChain } from "../fold/run-handlers.ts";
import { CurrentBody } from "../stages/current-body.ts";
import { type GrpcCall, grpcCall } from "../stages/grpc.ts";
import { HandlerCall } from "../stages/handler-call.ts";
import type { StageEnd } from "../stages/step.ts";

/** A handler that takes part in a body. */
export interface ActiveClaim {
  readonly claim: BodyClaim;
  readonly call: HandlerCall;
  /** The call whose messages a gRPC handler handles. */
  readonly grpc: GrpcCall | undefined;
}

/** A body, and the handlers that take part in it. */
export interface ActiveBody {
  readonly body: CurrentBody;
  readonly active: readonly ActiveClaim[];
}

/** What the handlers of a body need of their transaction. */
export interface BodySurroundings {
  readonly chain: HandlerChain;
  readonly exchange: MessageExchange;
  readonly budget: StreamBudget;
}

/**
 * Returns the handlers that take part in this body, by their `when` and by the method of a gRPC call. Returns a fault
 * if `when` throws.
 */
export function activeBody(
  phase: BodyPhase,
  claims: readonly BodyClaim[],
  { chain, exchange, budget }: BodySurroundings,
): ActiveBody | Fault {
  const body = new CurrentBody(phase, exchange, budget);
  const active: ActiveClaim[] = [];
  for (const claim of claims) {
    const { index, handler } = claim;
    let tx: ReturnType<HandlerChain["transaction"]>;
    try {
      tx = chain.transaction(index);
      if (!(tx instanceof ScopedTransaction)) return tx;
      if (handler.read !== "grpc" && handler.when !== undefined && handler.when(tx) !== true) continue;
    } catch (cause) {
      return chain.threw(index, phase, cause);
    }
    const grpc = handler.read === "grpc" ? grpcCall(handler, exchange, phase) : undefined;
    if (handler.read === "grpc" && grpc === undefined) continue;
    active.push({ claim, grpc, call: new HandlerCall(body, claim, chain, tx) });
  }
  return { body, active };
}

/**
 * Returns the fault of a handler that may change a body that is a part of something larger; undefined if there is none.
 */
export function refusePart({ body, active }: ActiveBody): StageEnd | undefined {
  const part = isPartOfMore(body.direction, body.exchange);
  if (part === undefined) return undefined;
  const blamed = active.find(({ claim }) => claim.handler.read !== "inspect");
  return blamed?.call.faults.fault("body_partial_content", part);
}

/**
 * Decides about a body of which Envoy sends only the beginning: the fault of a handler that requires the whole body, or
 * the handlers that do not see the rest. A handler of a whole body is told that it gets the beginning. Other handlers
 * would take the beginning for the whole body.
 */
export function misledByBeginning(active: readonly ActiveClaim[]): StageEnd | readonly ActiveClaim[] {
  const misled = active.filter(({ claim }) => claim.handler.read !== "whole");
  const required = misled.find(({ claim }) => claim.handler.required === true);
  const why = "Envoy sends the beginning of the body only (BUFFERED_PARTIAL)";
  return required ? required.call.faults.fault("body_required_unseen", why) : misled;
}

/** The handlers of a body, if the body is a tunnel. */
export interface TunnelClaims {
  /** The handlers that ask for upgrades. They see the tunnel. */
  readonly watching: readonly ActiveClaim[];
  /** Other handlers, if there is a body before the tunnel. They do not see that body. */
  readonly missing: readonly ActiveClaim[];
}

/**
 * Divides the handlers of a body that is a tunnel. A request for a tunnel has no body before it, unless it has a
 * `content-length`: an upstream that ignores the upgrade would read that body. A CONNECT request has no body, whatever
 * its headers say (RFC 9110 9.3.6). Returns the fault of a handler that would have to see such a body.
 */
export function tunnelClaims({ body: { phase, exchange }, active }: ActiveBody): TunnelClaims | Fault {
  const watches = ({ claim: { handler } }: ActiveClaim) => handler.read === "inspect" && handler.upgrades === true;
  const watching = active.filter(watches);
  const blind = active.filter((claim) => !watches(claim));
  const hasBody = exchange.framing("request")?.method !== "CONNECT" && (exchange.declaredBytes("request") ?? 0) > 0;
  if (phase !== "requestBody" || blind.length === 0 || !hasBody) return { watching, missing: [] };
  const isSent = exchange.bodyMode("request") !== "NONE";
  const required = blind.find(({ claim }) => claim.handler.required === true);
  const blamed = required ?? (isSent ? blind[0] : undefined);
  if (blamed === undefined) return { watching, missing: blind };
  return blamed.call.faults.fault(
    isSent ? "body_end_unknowable" : "body_required_unseen",
    "the request has an upgrade and a body, which cannot be told from what follows the upgrade",
  );
}
