import type { BodyMode } from "../../protocol/body-mode.ts";
import { ENVOY_BUFFER_LIMIT_BYTES, type EnvoyDeclaration } from "../../protocol/envoy-declaration.ts";
import type { Direction } from "../../protocol/phase.ts";
import { DEFAULT_MAX_BYTES } from "../../session/body/whole-stage.ts";
import { type BodyClaim, hasTail, needsOf, readsWhole } from "../body-claims.ts";

/** The body mode that serves every handler of a direction, and why. */
export interface BodyModeNeed {
  readonly mode: Exclude<BodyMode, "GRPC">;
  readonly why: readonly string[];
  /** Other modes that do, each with what has to hold. */
  readonly alternatives: readonly { readonly mode: Exclude<BodyMode, "GRPC">; readonly where: string }[];
}

/** What names a handler of a body, for people: `tagger.requestBody (json)`. */
export function claimName({ handler }: BodyClaim, processor: string, direction: Direction): string {
  return handler.read === "grpc"
    ? `${processor}.grpc (${direction})`
    : `${processor}.${direction}Body (${handler.read})`;
}

/** Chooses the mode of a direction's body for all of its handlers. */
export function bodyModeNeed(
  claims: readonly BodyClaim[],
  declaration: EnvoyDeclaration,
  nameOf: (claim: BodyClaim) => string,
): BodyModeNeed {
  if (claims.length === 0) return { mode: "NONE", why: ["nobody handles it"], alternatives: [] };
  const need = contentModeNeed(claims, declaration, nameOf);
  // With overrides the server itself asks for NONE where a tunnel comes.
  if (declaration.allowModeOverride !== false) return need;
  const where = need.mode === "BUFFERED" ? CLOSED_TUNNELS : HELD_TUNNELS;
  return { ...need, alternatives: [...need.alternatives, { mode: "NONE", where }] };
}

/** The mode for messages that have a body. */
function contentModeNeed(
  claims: readonly BodyClaim[],
  { bufferLimitBytes: declaredBytes }: EnvoyDeclaration,
  nameOf: (claim: BodyClaim) => string,
): BodyModeNeed {
  const needs = needsOf(claims);
  const bufferLimitBytes = declaredBytes ?? ENVOY_BUFFER_LIMIT_BYTES;
  const because = (why: string, some: (claim: BodyClaim) => boolean) =>
    claims.filter(some).map((claim) => `${nameOf(claim)} ${why}`);
  const others = claims.some(({ handler }) => "when" in handler && handler.when !== undefined) ? [ON_DEMAND] : [];
  if (needs.whole) {
    const why = because("waits for the whole body", isWhole);
    const most = Math.max(...claims.filter(isWhole).map(maxBytesOf));
    if (fitsBuffer(claims, bufferLimitBytes))
      return {
        mode: "BUFFERED",
        why,
        alternatives: [
          {
            mode: "FULL_DUPLEX_STREAMED",
            where: `bodies above Envoy's buffer limit (${bufferLimitBytes}) have to be seen`,
          },
          ...others,
        ],
      };
    const where = `per_connection_buffer_limit_bytes is ${most} at least; Envoy refuses what is above it`;
    return {
      mode: "FULL_DUPLEX_STREAMED",
      why: [
        ...why,
        `and Envoy buffers ${bufferLimitBytes} bytes, ${declaredBytes === undefined ? "its default" : "as declared"}`,
      ],
      alternatives: [{ mode: "BUFFERED", where }, ...others],
    };
  }
  if (needs.tail)
    return {
      mode: "FULL_DUPLEX_STREAMED",
      why: because("may add something behind the last chunk", hasTail),
      alternatives: [{ mode: "STREAMED", where: LATE_TAIL }, ...others],
    };
  return {
    mode: "STREAMED",
    why: because("takes it piece by piece", () => true),
    alternatives: [
      { mode: "FULL_DUPLEX_STREAMED", where: "Envoy is to wait for no answer to a piece, and to have no time-out" },
      ...others,
    ],
  };
}

/** True for a claim whose handler needs the whole body at once. */
export function isWhole({ handler }: BodyClaim): boolean {
  return readsWhole(handler);
}

/** The most that a handler holds, in bytes. */
function maxBytesOf({ handler }: BodyClaim): number {
  return handler.maxBytes ?? DEFAULT_MAX_BYTES;
}

const LATE_TAIL =
  "bodies have no trailers, or no more than metadata is added behind them; and the trailer mode of the direction is SEND: with SKIP trailers hide the end of a body, and what a handler holds back is lost";

const ON_DEMAND = {
  mode: "NONE",
  where:
    "allow_mode_override is set and declared, and no configured mode is FULL_DUPLEX_STREAMED: bodies are asked for",
} as const;

const CLOSED_TUNNELS =
  "the route has tunnels (WebSocket, CONNECT), which are not bodies: in BUFFERED Envoy does not open them";
const HELD_TUNNELS =
  "the route has tunnels (WebSocket, CONNECT), which are not bodies, and Envoy is 1.39, which does not open them in this mode";

/** An author who names no `maxBytes` takes what Envoy buffers; one who lets pass what is larger has to get it. */
function fitsBuffer(claims: readonly BodyClaim[], bufferLimitBytes: number): boolean {
  return claims
    .filter(isWhole)
    .every(
      ({ handler }) =>
        (handler.maxBytes ?? 0) <= bufferLimitBytes && !("overLimit" in handler && handler.overLimit === "pass"),
    );
}
