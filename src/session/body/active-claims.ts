import type { BodyClaim, BodyClaims } from "../../processor/body-claims.ts";
import { ScopedTransaction } from "../../processor/transaction.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import type { Fault } from "../../protocol/fault.ts";
import { isPartOfMore } from "../../protocol/headers/framing-rules.ts";
import { type BodyPhase, type Direction, directionOf } from "../../protocol/phase.ts";
import type { HandlerChain } from "../fold/run-handlers.ts";
import type { StageEnd } from "./body-stage.ts";
import { type GrpcCall, grpcCall } from "./grpc-call.ts";
import { type BodyScene, StageHost } from "./stage-host.ts";

/** Handlers that take part in a body, each with its way to the transaction. */
export interface ActiveClaim {
  readonly claim: BodyClaim;
  readonly host: StageHost;
  /** The call whose messages gRPC handlers handle. */
  readonly call?: GrpcCall | undefined;
}

/** What {@link activeClaims} chooses from. */
interface Candidates {
  readonly chain: HandlerChain;
  readonly claims: BodyClaims;
  readonly exchange: Exchange;
}

/** The handlers that take part in this body, by their `when` and by the method of a gRPC call; a fault if `when` throws. */
export function activeClaims(
  phase: BodyPhase,
  scene: BodyScene,
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
    active.push({ claim, call, host: new StageHost(scene, { index, chain, phase, tx, timing, onlyLooks }) });
  }
  return active;
}

/** The fault of a handler that may change a body which is a part of something larger; undefined if there is none. */
export function refusePart(
  active: readonly ActiveClaim[],
  direction: Direction,
  exchange: Exchange,
): StageEnd | undefined {
  const part = isPartOfMore(direction, exchange);
  if (part === undefined) return undefined;
  const blamed = active.find(({ claim }) => claim.handler.read !== "inspect");
  return blamed?.host.fault("body_partial_content", part);
}

/**
 * The fault of a handler that requires a body of which Envoy sends the beginning; undefined if there is none. A handler of a
 * whole body is told; the others would take the beginning for all of it.
 *
 * @param unseen Called if the rest passes handlers by that do not require it.
 */
export function refuseBeginning(
  active: readonly ActiveClaim[],
  unseen: (claims: readonly BodyClaim[]) => void,
): StageEnd | undefined {
  const deceived = active.filter(({ claim }) => claim.handler.read !== "whole");
  const required = deceived.find(({ claim }) => claim.handler.required === true);
  if (required)
    return required.host.fault("body_required_unseen", "Envoy sends the beginning of the body only (BUFFERED_PARTIAL)");
  if (deceived.length > 0) unseen(deceived.map(({ claim }) => claim));
  return undefined;
}

/** What the handlers of a body have to do with a tunnel in its place. */
export interface TunnelClaims {
  /** Those that ask for upgrades: they see the tunnel. */
  readonly watching: readonly ActiveClaim[];
  /** The others, which a tunnel passes by. */
  readonly blind: readonly ActiveClaim[];
}

const UPGRADE_WITH_BODY = "the request has an upgrade and a body, which cannot be told from what follows the upgrade";

/** Sorts the handlers of a body that is a tunnel. */
export function tunnelClaims(active: readonly ActiveClaim[]): TunnelClaims {
  const watches = ({ claim: { handler } }: ActiveClaim) => handler.read === "inspect" && handler.upgrades === true;
  return { watching: active.filter(watches), blind: active.filter((claim) => !watches(claim)) };
}

/**
 * True for a request that asks for a tunnel, and has a body before it. An upstream that ignores the upgrade reads it. A
 * CONNECT has none, whatever its headers say (RFC 9110 9.3.6).
 */
export function hasBodyBeforeTunnel(exchange: Exchange): boolean {
  return exchange.framing("request")?.method !== "CONNECT" && (exchange.declaredBytes("request") ?? 0) > 0;
}

/** The fault of handlers that would have to see such a body; undefined if Envoy does not send it, and no handler requires it. */
export function refuseBodyBeforeTunnel(blind: readonly ActiveClaim[], isSent: boolean): Fault | undefined {
  const required = blind.find(({ claim }) => claim.handler.required === true);
  if (!isSent) return required?.host.fault("body_required_unseen", UPGRADE_WITH_BODY);
  return (required ?? blind[0])?.host.fault("body_end_unknowable", UPGRADE_WITH_BODY);
}
