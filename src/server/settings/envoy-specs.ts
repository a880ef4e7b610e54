import {
  BODY_SEND_MODES,
  type DeclaredEnvoySettings,
  HEADER_SEND_MODES,
  type MutationRules,
  type ProcessingModeSettings,
} from "../../protocol/envoy-settings.ts";
import { choice, expression, flagOf, HOUR_MS, integer, type SettingSpec, toggle } from "./setting-spec.ts";

type Named<Prefix extends string, T> = `${Prefix}${Capitalize<keyof T & string>}`;

/**
 * The names of the settings that declare Envoy: one for each field of the declaration, and for each field of its
 * groups.
 */
export type EnvoySettingName =
  | Named<"envoy", Omit<DeclaredEnvoySettings, "processingMode" | "mutationRules">>
  | Named<"envoyProcessingMode", ProcessingModeSettings>
  | Named<"envoyMutationRules", MutationRules>;

/** What the operator declares about Envoy, as settings. */
export const ENVOY_SPECS: Readonly<Record<EnvoySettingName, SettingSpec>> = {
  envoyMessageTimeoutMs: {
    ...integer(["envoy", "messageTimeoutMs"], 1, HOUR_MS),
    help: "message_timeout of Envoy's filter",
    fallback: "200",
  },
  envoyMaxMessageTimeoutMs: {
    ...integer(["envoy", "maxMessageTimeoutMs"], 0, HOUR_MS),
    help: "max_message_timeout of Envoy's filter; 0 = not set",
    fallback: "0",
  },
  envoyAllowModeOverride: {
    ...toggle(["envoy", "allowModeOverride"]),
    help: "Envoy's filter has allow_mode_override",
    fallback: "false",
  },
  envoyAllowedOverrideModes: {
    flag: flagOf(["envoy", "allowedOverrideModes"]),
    value: "JSON",
    path: ["envoy", "allowedOverrideModes"],
    kind: { kind: "modes" },
    help: "allowed_override_modes of Envoy's filter: a list of processing modes; unset = all modes",
    fallback: undefined,
  },
  envoyBufferLimitBytes: {
    ...integer(["envoy", "bufferLimitBytes"], 1, 1 << 30),
    help: "largest body that Envoy is sure to buffer; unset = the server never asks for BUFFERED",
    fallback: undefined,
  },
  envoyOverriddenBodyTimeoutMs: {
    ...integer(["envoy", "overriddenBodyTimeoutMs"], 1, HOUR_MS),
    help: "longest wait for a body that a mode override asked for; then clients get 408 or 504",
    fallback: "30000",
  },
  envoyFailureModeAllow: {
    ...toggle(["envoy", "failureModeAllow"]),
    help: "Envoy's filter has failure_mode_allow",
    fallback: "false",
  },
  envoyDisableImmediateResponse: {
    ...toggle(["envoy", "disableImmediateResponse"]),
    help: "Envoy's filter has disable_immediate_response",
    fallback: "false",
  },
  envoyAllowContentLengthHeader: {
    ...toggle(["envoy", "allowContentLengthHeader"]),
    help: "Envoy's filter has allow_content_length_header",
    fallback: "false",
  },
  envoyMutationRulesAllowAllRouting: {
    ...toggle(["envoy", "mutationRules", "allowAllRouting"]),
    help: "mutation_rules of Envoy's filter have allow_all_routing",
    fallback: "false",
  },
  envoyMutationRulesAllowEnvoy: {
    ...toggle(["envoy", "mutationRules", "allowEnvoy"]),
    help: "mutation_rules of Envoy's filter have allow_envoy",
    fallback: "false",
  },
  envoyMutationRulesDisallowSystem: {
    ...toggle(["envoy", "mutationRules", "disallowSystem"]),
    help: "mutation_rules of Envoy's filter have disallow_system",
    fallback: "false",
  },
  envoyMutationRulesDisallowAll: {
    ...toggle(["envoy", "mutationRules", "disallowAll"]),
    help: "mutation_rules of Envoy's filter have disallow_all",
    fallback: "false",
  },
  envoyMutationRulesAllowExpression: {
    ...expression(["envoy", "mutationRules", "allowExpression"]),
    help: "allow_expression of mutation_rules of Envoy's filter",
    fallback: undefined,
  },
  envoyMutationRulesDisallowExpression: {
    ...expression(["envoy", "mutationRules", "disallowExpression"]),
    help: "disallow_expression of mutation_rules of Envoy's filter",
    fallback: undefined,
  },
  envoyMutationRulesDisallowIsError: {
    ...toggle(["envoy", "mutationRules", "disallowIsError"]),
    help: "mutation_rules of Envoy's filter have disallow_is_error",
    fallback: "false",
  },
  envoyProcessingModeRequestHeaderMode: {
    ...choice(["envoy", "processingMode", "requestHeaderMode"], HEADER_SEND_MODES),
    help: "request_header_mode of Envoy's filter, for simulations",
    fallback: undefined,
  },
  envoyProcessingModeRequestBodyMode: {
    ...choice(["envoy", "processingMode", "requestBodyMode"], BODY_SEND_MODES),
    help: "request_body_mode of Envoy's filter, for simulations",
    fallback: undefined,
  },
  envoyProcessingModeRequestTrailerMode: {
    ...choice(["envoy", "processingMode", "requestTrailerMode"], HEADER_SEND_MODES),
    help: "request_trailer_mode of Envoy's filter, for simulations",
    fallback: undefined,
  },
  envoyProcessingModeResponseHeaderMode: {
    ...choice(["envoy", "processingMode", "responseHeaderMode"], HEADER_SEND_MODES),
    help: "response_header_mode of Envoy's filter, for simulations",
    fallback: undefined,
  },
  envoyProcessingModeResponseBodyMode: {
    ...choice(["envoy", "processingMode", "responseBodyMode"], BODY_SEND_MODES),
    help: "response_body_mode of Envoy's filter, for simulations",
    fallback: undefined,
  },
  envoyProcessingModeResponseTrailerMode: {
    ...choice(["envoy", "processingMode", "responseTrailerMode"], HEADER_SEND_MODES),
    help: "response_trailer_mode of Envoy's filter, for simulations",
    fallback: undefined,
  },
};
