/** `ProcessingMode.HeaderSendMode`: DEFAULT sends headers and skips trailers. */
export type HeaderSendMode = "DEFAULT" | "SEND" | "SKIP";

/** `ProcessingMode.BodySendMode`, as far as Envoy implements it. */
export type BodySendMode = "NONE" | "STREAMED" | "BUFFERED" | "BUFFERED_PARTIAL" | "FULL_DUPLEX_STREAMED";

/** Every value of {@link HeaderSendMode}. */
export const HEADER_SEND_MODES: readonly HeaderSendMode[] = ["DEFAULT", "SEND", "SKIP"];

/** Every value of {@link BodySendMode}. */
export const BODY_SEND_MODES: readonly BodySendMode[] = [
  "NONE",
  "STREAMED",
  "BUFFERED",
  "BUFFERED_PARTIAL",
  "FULL_DUPLEX_STREAMED",
];

/** `envoy.extensions.filters.http.ext_proc.v3.ProcessingMode`. Default of each field: DEFAULT, or NONE for bodies. */
export interface ProcessingModeSettings {
  readonly requestHeaderMode?: HeaderSendMode | undefined;
  readonly responseHeaderMode?: HeaderSendMode | undefined;
  readonly requestBodyMode?: BodySendMode | undefined;
  readonly responseBodyMode?: BodySendMode | undefined;
  readonly requestTrailerMode?: HeaderSendMode | undefined;
  readonly responseTrailerMode?: HeaderSendMode | undefined;
}

/** The values that each field of {@link ProcessingModeSettings} can have. */
export const PROCESSING_MODES: Readonly<Record<keyof ProcessingModeSettings, readonly string[]>> = {
  requestHeaderMode: HEADER_SEND_MODES,
  responseHeaderMode: HEADER_SEND_MODES,
  requestBodyMode: BODY_SEND_MODES,
  responseBodyMode: BODY_SEND_MODES,
  requestTrailerMode: HEADER_SEND_MODES,
  responseTrailerMode: HEADER_SEND_MODES,
};

/**
 * `envoy.config.common.mutation_rules.v3.HeaderMutationRules`: which headers Envoy's `ext_proc` filter lets a server
 * change. Expressions are RE2's, and match a name in lower case as a whole.
 */
export interface MutationRules {
  /** `allow_all_routing`: `host`, `:authority`, `:scheme` and `:method` can be set. Default: false. */
  readonly allowAllRouting?: boolean | undefined;
  /** `allow_envoy`: names that begin with `x-envoy-` can be set and removed. Default: false. */
  readonly allowEnvoy?: boolean | undefined;
  /** `disallow_system`: names that begin with `:` cannot be set. Default: false. */
  readonly disallowSystem?: boolean | undefined;
  /** `disallow_all`: only names that `allowExpression` matches can be changed. Default: false. */
  readonly disallowAll?: boolean | undefined;
  /** `allow_expression`: names that can be changed, whatever the fields above say. Default: none. */
  readonly allowExpression?: string | undefined;
  /** `disallow_expression`: names that cannot be changed, whatever the other fields say. Default: none. */
  readonly disallowExpression?: string | undefined;
  /**
   * `disallow_is_error`: a change that the rules refuse fails the transaction instead of being dropped. Default: false.
   * The server sends no such change in either case.
   */
  readonly disallowIsError?: boolean | undefined;
}

/**
 * Settings of Envoy's `ext_proc` filter (`envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor`) and of its
 * surroundings, with Envoy's field names in camel case. It has the fields that both the server and the simulator read.
 * {@link DeclaredEnvoySettings} adds what only an operator can declare; `SimulatedEnvoySettings` of `ext-proc/testing`
 * adds what only a simulated Envoy needs. All of it is plain data, and every default is Envoy's own.
 */
export interface EnvoySettings {
  /**
   * `processing_mode`: what Envoy sends to the server. Default: the headers of both directions. A server does not depend
   * on it, because Envoy sends its body modes on each stream. `DebugService.Simulate` uses it.
   */
  readonly processingMode?: ProcessingModeSettings | undefined;
  /** `message_timeout`, in milliseconds: how long Envoy waits for an answer. Default: 200. */
  readonly messageTimeoutMs?: number | undefined;
  /**
   * `max_message_timeout`, in milliseconds: the longest timeout that an answer can ask for with
   * `override_message_timeout`. Default: 0, which means that Envoy ignores such answers.
   */
  readonly maxMessageTimeoutMs?: number | undefined;
  /** `allow_mode_override`: Envoy obeys mode overrides. Default: false. */
  readonly allowModeOverride?: boolean | undefined;
  /**
   * `allowed_override_modes`: Envoy obeys only overrides to one of these modes; it does not compare `requestHeaderMode`.
   * Default and empty: every override.
   */
  readonly allowedOverrideModes?: readonly ProcessingModeSettings[] | undefined;
  /** `mutation_rules`: which headers can be changed. Default: all except routing headers and `x-envoy-…`. */
  readonly mutationRules?: MutationRules | undefined;
  /** `failure_mode_allow`: if a stream fails, the transaction continues. Default: false. */
  readonly failureModeAllow?: boolean | undefined;
  /** `disable_immediate_response`: an immediate response is a protocol error. Default: false. */
  readonly disableImmediateResponse?: boolean | undefined;
  /**
   * `allow_content_length_header` (Envoy 1.38 and later): Envoy keeps `content-length` in the body modes in which it
   * otherwise removes the header. For a server it matters only if `mutationRules` protect `content-length`. Default: false.
   */
  readonly allowContentLengthHeader?: boolean | undefined;
  /**
   * The smallest limit of what Envoy buffers of a body, in bytes: `per_connection_buffer_limit_bytes` of the listener and
   * of the clusters for HTTP/1 clients, `initial_stream_window_size` of the listener for HTTP/2 clients. Envoy's own
   * default is 1 MiB, Envoy Gateway sets 32 KiB. A simulated Envoy has 1 MiB by default, and always 16 MiB for HTTP/2.
   * A server does not assume a default: it asks for BUFFERED only if the limit is declared, because Envoy hangs on a
   * larger body after such an override.
   */
  readonly bufferLimitBytes?: number | undefined;
}

/**
 * What the operator of a server declares about Envoy, because Envoy does not send its settings. The server decides by
 * this declaration. If it claims more than Envoy grants, Envoy drops answers silently. If it claims less, the server
 * reports faults for answers that Envoy would have accepted.
 */
export interface DeclaredEnvoySettings extends EnvoySettings {
  /**
   * Only for the server, not a setting of Envoy: the longest wait for a body on which Envoy may hang after an override, in
   * milliseconds. Envoy sends nothing in BUFFERED if the body is above its limit, and in FULL_DUPLEX_STREAMED if the body
   * is empty. Default: 30000, enough for 1 MiB at 35 KiB/s.
   */
  readonly overriddenBodyTimeoutMs?: number | undefined;
}
