import type { Exchange } from "../../protocol/exchange/exchange.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { ActiveClaim } from "./active-claims.ts";

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
