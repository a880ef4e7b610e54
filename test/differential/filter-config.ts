import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import type { MutationRules, ProcessingModeSettings } from "../../src/protocol/envoy-settings.ts";
import type {
  ForwardRules,
  MetadataOptions,
  PerRouteSettings,
  SimulatedEnvoySettings,
  StringMatcher,
} from "../../src/simulator/settings/simulated-envoy-settings.ts";

type Fields = Readonly<Record<string, unknown>>;

/** Where the filter's calls go. */
export interface GrpcTarget {
  readonly cluster: string;
  /** `:authority` of the call. */
  readonly authority: string;
}

/** The filter's configuration as Envoy reads it; times are `timeScale` as long as the settings say. */
export function filterConfig(settings: SimulatedEnvoySettings, target: GrpcTarget, timeScale: number): JsonObject {
  const duration = (ms: number | undefined) => (ms === undefined ? undefined : seconds(ms * timeScale));
  return present({
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
    grpc_service: {
      envoy_grpc: { cluster_name: target.cluster, authority: target.authority },
      initial_metadata: metadata(settings.grpcInitialMetadata),
    },
    processing_mode: mode(settings.processingMode ?? {}),
    failure_mode_allow: settings.failureModeAllow,
    message_timeout: duration(settings.messageTimeoutMs ?? 200),
    max_message_timeout: duration(settings.maxMessageTimeoutMs),
    allow_mode_override: settings.allowModeOverride,
    allowed_override_modes: settings.allowedOverrideModes?.map(mode),
    mutation_rules: settings.mutationRules && mutationRules(settings.mutationRules),
    forward_rules: settings.forwardRules && forwardRules(settings.forwardRules),
    status_on_error: settings.statusOnError && { code: settings.statusOnError },
    observability_mode: settings.observabilityMode,
    deferred_close_timeout: settings.observabilityMode && duration(settings.deferredCloseTimeoutMs ?? 20),
    disable_immediate_response: settings.disableImmediateResponse,
    route_cache_action: settings.routeCacheAction,
    disable_clear_route_cache: settings.disableClearRouteCache,
    metadata_options: settings.metadataOptions && metadataOptions(settings.metadataOptions),
    request_attributes: settings.requestAttributes,
    response_attributes: settings.responseAttributes,
    send_body_without_waiting_for_header_response: settings.sendBodyWithoutWaitingForHeaderResponse,
    allow_content_length_header: settings.allowContentLengthHeader,
  });
}

/** ExtProcPerRoute of a route. */
export function perRouteConfig(settings: PerRouteSettings): JsonObject {
  const type = "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute";
  if (settings.disabled) return { "@type": type, disabled: true };
  const overrides = present({
    processing_mode: settings.processingMode && mode(settings.processingMode),
    metadata_options: settings.metadataOptions && metadataOptions(settings.metadataOptions),
    grpc_initial_metadata: metadata(settings.grpcInitialMetadata),
    failure_mode_allow: settings.failureModeAllow,
  });
  return { "@type": type, overrides };
}

/** A Duration in proto JSON. */
export function seconds(ms: number): string {
  return `${ms / 1000}s`;
}

function mode(settings: ProcessingModeSettings): JsonObject {
  return present({
    request_header_mode: settings.requestHeaderMode,
    response_header_mode: settings.responseHeaderMode,
    request_body_mode: settings.requestBodyMode,
    response_body_mode: settings.responseBodyMode,
    request_trailer_mode: settings.requestTrailerMode,
    response_trailer_mode: settings.responseTrailerMode,
  });
}

function mutationRules(rules: MutationRules): JsonObject {
  const regex = (pattern: string | undefined) => pattern && { regex: pattern };
  return present({
    allow_all_routing: rules.allowAllRouting,
    allow_envoy: rules.allowEnvoy,
    disallow_system: rules.disallowSystem,
    disallow_all: rules.disallowAll,
    allow_expression: regex(rules.allowExpression),
    disallow_expression: regex(rules.disallowExpression),
    disallow_is_error: rules.disallowIsError,
  });
}

function forwardRules({ allowedHeaders, disallowedHeaders }: ForwardRules): JsonObject {
  return present({
    allowed_headers: allowedHeaders && { patterns: allowedHeaders.map(stringMatcher) },
    disallowed_headers: disallowedHeaders && { patterns: disallowedHeaders.map(stringMatcher) },
  });
}

function stringMatcher({ safeRegex, ignoreCase, ...patterns }: StringMatcher): JsonObject {
  return present({ ...patterns, safe_regex: safeRegex && { regex: safeRegex }, ignore_case: ignoreCase });
}

function metadataOptions({ forwardingNamespaces, receivingNamespaces }: MetadataOptions): JsonObject {
  return present({ forwarding_namespaces: forwardingNamespaces, receiving_namespaces: receivingNamespaces });
}

function metadata(values: Readonly<Record<string, string>> | undefined): unknown {
  return values && Object.entries(values).map(([key, value]) => ({ key, value }));
}

/** Without the fields that are undefined, in every depth. */
function present(fields: Fields): JsonObject {
  return JSON.parse(JSON.stringify(fields)) as JsonObject;
}
