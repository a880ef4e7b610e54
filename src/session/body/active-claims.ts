import type { BodyClaim, BodyClaims } from "../../processor/body-claims.ts";
import { ScopedTransaction } from "../../processor/transaction.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import type { Fault } from "../../protocol/fault.ts";
import { isPartOfMore } from "../../protocol/headers/framing-rules.ts";
import { type BodyPhase, type Direction, directionOf } from "../../protocol/phase.ts";
import type { HandlerChain } from "../fold/run-handlers.ts";
import type { StageEnd } from "./body-stage.ts";
import { type GrpcCall, grpcCall } from "./grpc-call.ts";
import { type CurrentBody, StageContext } from "./stage-context.ts";

/** A handler that takes part in a body, with its stage context. */
export interface ActiveClaim {
  readonly claim: BodyClaim;
  readonly context: StageContext;
  /** The call whose messages a gRPC handler handles. */
  readonly call?: GrpcCall | undefined;
}

/** The handlers from which {@link activeClaims} chooses. */
interface Candidates {
  readonly chain: HandlerChain;
  readonly claims: BodyClaims;
  readonly exchange: Exchange;
}

/**
 * Returns the handlers that take part in this body, by their `when` and by the method of a gRPC call. Returns a fault
 * if `when` throws.
 */
export function activeClaims(
  phase: BodyPhase,
  body: CurrentBody,
  { chain, claims, exchange }: Candidates,
): readonly ActiveClaim[] | StageEnd {
  const active: ActiveClaim[] = [];
  for (const claim of claims[directionOf(phase)]) {
    const { index, handler, timing } = claim;
    let tx: ReturnType<HandlerChain["transaction"]>;
    try {
      tx = chain.transaction(index);
      if (!(tx instanceof ScopedTransaction)) return tx;
      if (handler.read !== "grpc" && handler.when !== undefined && handler.when(tx) !== true) continue;
    } catch (cause) {
      return chain.threw(index, phase, cause);
    }
    const call = handler.read === "grpc" ? grpcCall(handler, exchange, phase) : undefined;
    if (handler.read === "grpc" && call === undefined) continue;
    const onlyLooks = handler.read === "inspect" && handler.required !== true;
    active.push({ claim, call, context: new StageContext(body, { index, chain, phase, tx, timing, onlyLooks }) });
  }
  return active;
}

/**
 * Returns the fault of a handler that may change a body that is a part of something larger; undefined if there is none.
 */
export function refusePart(
  active: readonly ActiveClaim[],
  direction: Direction,
  exchange: Exchange,
): StageEnd | undefined {
  const part = isPartOfMore(direction, exchange);
  if (part === undefined) return undefined;
  const blamed = active.find(({ claim }) => claim.handler.read !== "inspect");
  return blamed?.context.fault("body_partial_content", part);
}

/**
 * Returns the fault of a handler that requires the whole body, if Envoy sends only the beginning; undefined if there is
 * none. A handler of a whole body is told that it gets the beginning. Other handlers would take the beginning for the
 * whole body.
 *
 * @param unseen Called if handlers that do not require the rest do not see it.
 */
export function refuseBeginning(
  active: readonly ActiveClaim[],
  unseen: (claims: readonly BodyClaim[]) => void,
): StageEnd | undefined {
  const misled = active.filter(({ claim }) => claim.handler.read !== "whole");
  const required = misled.find(({ claim }) => claim.handler.required === true);
  if (required)
    return required.context.fault(
      "body_required_unseen",
      "Envoy sends the beginning of the body only (BUFFERED_PARTIAL)",
    );
  if (misled.length > 0) unseen(misled.map(({ claim }) => claim));
  return undefined;
}

/** The handlers of a body, if the body is a tunnel. */
export interface TunnelClaims {
  /** The handlers that ask for upgrades. They see the tunnel. */
  readonly watching: readonly ActiveClaim[];
  /** The other handlers. They do not see the tunnel. */
  readonly blind: readonly ActiveClaim[];
}

const UPGRADE_WITH_BODY = "the request has an upgrade and a body, which cannot be told from what follows the upgrade";

/** Divides the handlers of a body that is a tunnel. */
export function tunnelClaims(active: readonly ActiveClaim[]): TunnelClaims {
  const watches = ({ claim: { handler } }: ActiveClaim) => handler.read === "inspect" && handler.upgrades === true;
  return { watching: active.filter(watches), blind: active.filter((claim) => !watches(claim)) };
}

/**
 * True for a request that asks for a tunnel and has a body before it. An upstream that ignores the upgrade reads the
 * body. A CONNECT request has no body, whatever its headers say (RFC 9110 9.3.6).
 */
export function hasBodyBeforeTunnel(exchange: Exchange): boolean {
  return exchange.framing("request")?.method !== "CONNECT" && (exchange.declaredBytes("request") ?? 0) > 0;
}

/**
 * Returns the fault of handlers that would have to see such a body; undefined if Envoy does not send it and no handler
 * requires it.
 */
export function refuseBodyBeforeTunnel(blind: readonly ActiveClaim[], isSent: boolean): Fault | undefined {
  const required = blind.find(({ claim }) => claim.handler.required === true);
  if (!isSent) return required?.context.fault("body_required_unseen", UPGRADE_WITH_BODY);
  return (required ?? blind[0])?.context.fault("body_end_unknowable", UPGRADE_WITH_BODY);
}
