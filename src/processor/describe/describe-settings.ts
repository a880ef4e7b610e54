import { ENVOY_BUFFER_LIMIT_BYTES, ENVOY_DEFAULTS } from "../../protocol/envoy-declaration.ts";
import type { Direction } from "../../protocol/phase.ts";
import { DIRECTIONS } from "../../protocol/phase.ts";
import type { RunRules } from "../run-rules.ts";
import { MARGIN_MS } from "../time-limit.ts";
import { type BodyModeNeed, isWhole } from "./describe-body-mode.ts";

/** A setting of Envoy's that matters to a processor. */
export interface FilterSettingNeed {
  /** By Envoy's name, such as `allow_mode_override`. */
  readonly setting: string;
  /** What it has to be, as Envoy writes it; where it is a number, at least. */
  readonly value: string | number | boolean;
  /** False: it works without, but for what `why` says. */
  readonly required: boolean;
  readonly why: string;
}

/** What Envoy's filter and listener have to be set to, besides the processing mode. */
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
  const why = `${slowest.definition.name}: timeoutMs is ${slowest.wantedTimeoutMs}; or max_message_timeout of as much`;
  return [{ setting: "message_timeout", value: `${neededMs / 1000}s`, required: true, why }];
}

/** Envoy ignores overrides beside a configured FULL_DUPLEX_STREAMED, so the setting is of no use there. */
function overrides(
  { bodies, definitions, declaration }: RunRules,
  needs: Readonly<Record<Direction, BodyModeNeed>>,
): readonly FilterSettingNeed[] {
  if (DIRECTIONS.some((direction) => needs[direction].mode === "FULL_DUPLEX_STREAMED")) return [];
  if (declaration.allowModeOverride !== false) {
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
  const why = `${largest.name} waits for bodies so large; Envoy itself answers 413 or 500 above it`;
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
  return [{ setting: "grpc_initial_metadata", value: "x-ext-proc-config", required: false, why }];
}
