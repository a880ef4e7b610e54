import type { BodyMode } from "../../protocol/body-mode.ts";
import { ENVOY_BUFFER_LIMIT_BYTES, ENVOY_DEFAULTS, type EnvoyDeclaration } from "../../protocol/envoy-declaration.ts";
import { DIRECTIONS, type Direction } from "../../protocol/phase.ts";
import { type BodyClaim, hasTail, needsOf, readsWhole } from "../body-claims.ts";
import { DEFAULT_MAX_BYTES } from "../body-handler.ts";
import { MARGIN_MS } from "../handler-timeout.ts";
import { CONFIG_METADATA } from "../route-config.ts";
import type { RunRules } from "../run-rules.ts";

/** A setting of Envoy that a processor needs. */
export interface FilterSettingNeed {
  /** Envoy's name of the setting, such as `allow_mode_override`. */
  readonly setting: string;
  /** The value, in Envoy's form. A number is a minimum. */
  readonly value: string | number | boolean;
  /** False: the processor works without it, except as `why` says. */
  readonly required: boolean;
  readonly why: string;
}

/** Returns the settings that Envoy's filter and listener need, besides the processing mode. */
export function filterSettings(
  rules: RunRules,
  bodies: Readonly<Record<Direction, BodyModeNeed>>,
): readonly FilterSettingNeed[] {
  return [
    ...timeouts(rules),
    ...overrides(rules, bodies),
    ...buffers(rules, bodies),
    ...policies(rules),
    ...configs(rules),
  ];
}

function timeouts({ rules }: RunRules): readonly FilterSettingNeed[] {
  const slowest = rules.reduce((most, rule) => (rule.wantedTimeoutMs > most.wantedTimeoutMs ? rule : most));
  const neededMs = slowest.wantedTimeoutMs + MARGIN_MS;
  if (neededMs <= ENVOY_DEFAULTS.messageTimeoutMs) return [];
  const why = `${slowest.definition.name}: timeoutMs is ${slowest.wantedTimeoutMs}; or set max_message_timeout to as much`;
  return [{ setting: "message_timeout", value: `${neededMs / 1000}s`, required: true, why }];
}

/** Envoy ignores overrides if FULL_DUPLEX_STREAMED is configured, so the setting has no use then. */
function overrides(
  { bodies, definitions, declaration }: RunRules,
  needs: Readonly<Record<Direction, BodyModeNeed>>,
): readonly FilterSettingNeed[] {
  if (DIRECTIONS.some((direction) => needs[direction].mode === "FULL_DUPLEX_STREAMED")) return [];
  if (declaration.allowModeOverride) {
    const why = "it is declared as allowModeOverride, so the server asks for other modes";
    return [{ setting: "allow_mode_override", value: true, required: true, why }];
  }
  const asking = DIRECTIONS.flatMap((direction) =>
    (bodies?.[direction] ?? [])
      .filter(({ handler }) => "when" in handler && handler.when !== undefined)
      .map(({ index }) => `${definitions[index]?.name}.${direction}Body`),
  );
  if (asking.length === 0) return [];
  const why = `${asking.join(", ")}: where its when is false, Envoy need not send the body; declare it as allowModeOverride`;
  return [{ setting: "allow_mode_override", value: true, required: false, why }];
}

function buffers(
  { bodies, definitions, declaration }: RunRules,
  needs: Readonly<Record<Direction, BodyModeNeed>>,
): readonly FilterSettingNeed[] {
  const holding = DIRECTIONS.filter((direction) => needs[direction].mode === "BUFFERED").flatMap((direction) =>
    (bodies?.[direction] ?? []).filter(isWhole).map(({ index, handler }) => ({
      name: `${definitions[index]?.name}.${direction}Body`,
      maxBytes: handler.maxBytes,
    })),
  );
  if (holding.length === 0) return [];
  const largest = holding.reduce((most, other) => ((other.maxBytes ?? 0) > (most.maxBytes ?? 0) ? other : most));
  const value = largest.maxBytes ?? declaration.bufferLimitBytes ?? ENVOY_BUFFER_LIMIT_BYTES;
  const why = `${largest.name} waits for bodies of this size; Envoy itself answers 413 or 500 above it`;
  return [{ setting: "per_connection_buffer_limit_bytes", value, required: largest.maxBytes !== undefined, why }];
}

function policies({ rules }: RunRules): readonly FilterSettingNeed[] {
  const closed = rules.filter(({ onFault }) => onFault === "closed").map(({ definition }) => definition.name);
  if (closed.length === 0) return [];
  const why = `${closed.join(", ")}: onFault closed answers the client`;
  return [{ setting: "disable_immediate_response", value: false, required: true, why }];
}

function configs({ definitions }: RunRules): readonly FilterSettingNeed[] {
  const configured = definitions.filter(({ config }) => config !== undefined).map(({ name }) => name);
  if (configured.length === 0) return [];
  const keyed = `{${configured.map((name) => `"${name}": …`).join(", ")}}`;
  const form = configured.length === 1 ? `plain, or keyed by name: ${keyed}` : `keyed by name: ${keyed}`;
  const why = `${configured.join(", ")}: a route may give its configuration there, as JSON, ${form}`;
  return [{ setting: "grpc_initial_metadata", value: CONFIG_METADATA, required: false, why }];
}

/** The body mode that works for every handler of a direction, and why. */
export interface BodyModeNeed {
  readonly mode: Exclude<BodyMode, "GRPC">;
  readonly why: readonly string[];
  /** Other modes that work, each with its condition. */
  readonly alternatives: readonly { readonly mode: Exclude<BodyMode, "GRPC">; readonly where: string }[];
}

/** Names a handler of a body in messages: `tagger.requestBody (json)`. */
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
  if (claims.length === 0) return { mode: "NONE", why: ["no handler needs it"], alternatives: [] };
  const need = contentModeNeed(claims, declaration, nameOf);
  // With overrides the server itself asks for NONE if the message is a tunnel.
  if (declaration.allowModeOverride) return need;
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
      why: because("may add bytes after the last chunk", hasTail),
      alternatives: [{ mode: "STREAMED", where: LATE_TAIL }, ...others],
    };
  return {
    mode: "STREAMED",
    why: because("takes it in pieces", () => true),
    alternatives: [
      {
        mode: "FULL_DUPLEX_STREAMED",
        where: "Envoy must not wait for the answers to pieces, and must not have a timeout",
      },
      ...others,
    ],
  };
}

/** True for a claim whose handler needs the whole body at once. */
export function isWhole({ handler }: BodyClaim): boolean {
  return readsWhole(handler);
}

/** The maximum number of bytes that a handler holds. */
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

/**
 * True if Envoy's buffer limit fits the handlers. Without `maxBytes` a handler takes what Envoy buffers. A handler that
 * lets larger bodies pass must get them.
 */
function fitsBuffer(claims: readonly BodyClaim[], bufferLimitBytes: number): boolean {
  return claims
    .filter(isWhole)
    .every(
      ({ handler }) =>
        (handler.maxBytes ?? 0) <= bufferLimitBytes && !("overLimit" in handler && handler.overLimit === "pass"),
    );
}
