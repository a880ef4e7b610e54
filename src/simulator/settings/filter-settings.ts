/** A release line of Envoy whose behaviour the simulator knows from runs on the real one. */
export type EnvoyVersion = "1.36" | "1.38" | "1.39" | "1.40";

/** `ProcessingMode.HeaderSendMode`: DEFAULT sends headers and skips trailers. */
export type HeaderSendMode = "DEFAULT" | "SEND" | "SKIP";

/** `ProcessingMode.BodySendMode`, as far as Envoy implements it. */
export type BodySendMode = "NONE" | "STREAMED" | "BUFFERED" | "BUFFERED_PARTIAL" | "FULL_DUPLEX_STREAMED";

/** `envoy.extensions.filters.http.ext_proc.v3.ProcessingMode`. Default of each field: DEFAULT, or NONE for bodies. */
export interface ProcessingModeSettings {
  readonly requestHeaderMode?: HeaderSendMode | undefined;
  readonly responseHeaderMode?: HeaderSendMode | undefined;
  readonly requestBodyMode?: BodySendMode | undefined;
  readonly responseBodyMode?: BodySendMode | undefined;
  readonly requestTrailerMode?: HeaderSendMode | undefined;
  readonly responseTrailerMode?: HeaderSendMode | undefined;
}

/** `envoy.config.common.mutation_rules.v3.HeaderMutationRules`: which header mutations of a server Envoy takes. */
export interface FilterMutationRules {
  /** Lets `:authority`, `host`, `:scheme` and `:method` be set. Default false. */
  readonly allowAllRouting?: boolean | undefined;
  /** Lets `x-envoy-*` be set and removed. Default false. */
  readonly allowEnvoy?: boolean | undefined;
  /** Refuses every header whose name begins with a colon. Default false. */
  readonly disallowSystem?: boolean | undefined;
  /** Refuses every header that `allowExpression` does not allow. Default false. */
  readonly disallowAll?: boolean | undefined;
  /** Names that match as a whole are allowed, whatever the rules after it say. An RE2 pattern. Default: none. */
  readonly allowExpression?: string | undefined;
  /** Names that match as a whole are refused, before `allowExpression` is asked. An RE2 pattern. Default: none. */
  readonly disallowExpression?: string | undefined;
  /** A refusal fails the transaction. Default false: it is counted, and the rest is applied. */
  readonly disallowIsError?: boolean | undefined;
}

/** `envoy.type.matcher.v3.StringMatcher`, of which exactly one pattern is set. */
export interface StringMatcher {
  readonly exact?: string | undefined;
  readonly prefix?: string | undefined;
  readonly suffix?: string | undefined;
  readonly contains?: string | undefined;
  /** Matches the whole name. An RE2 pattern. */
  readonly safeRegex?: string | undefined;
  /** Not for `safeRegex`. Default false. */
  readonly ignoreCase?: boolean | undefined;
}

/** `HeaderForwardingRules`: which headers and trailers the server sees. If both lists match, the header is hidden. */
export interface ForwardRules {
  /** Default: every header. */
  readonly allowedHeaders?: readonly StringMatcher[] | undefined;
  /** Default: none. */
  readonly disallowedHeaders?: readonly StringMatcher[] | undefined;
}

/** Namespaces of dynamic metadata, by what their values are. Default: none. */
export interface MetadataNamespaces {
  readonly untyped?: readonly string[] | undefined;
  readonly typed?: readonly string[] | undefined;
}

/** `MetadataOptions`: which dynamic metadata goes to the server, and which may come from it. */
export interface MetadataOptions {
  readonly forwardingNamespaces?: MetadataNamespaces | undefined;
  readonly receivingNamespaces?: MetadataNamespaces | undefined;
}

/** `ExtProcPerRoute`: what a route changes. What is not set is as in the filter's own settings. */
export interface PerRouteSettings {
  /** The filter does nothing on this route. Default false. */
  readonly disabled?: boolean | undefined;
  /** Replaces the filter's processing mode as a whole. */
  readonly processingMode?: ProcessingModeSettings | undefined;
  readonly metadataOptions?: MetadataOptions | undefined;
  /** Merged into the filter's by name. */
  readonly grpcInitialMetadata?: Readonly<Record<string, string>> | undefined;
  readonly failureModeAllow?: boolean | undefined;
}

/**
 * Envoy's ext_proc filter as it is configured (`envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor`), and the
 * few settings around it that change what it does. Plain data that survives JSON. Every field is optional; the defaults
 * are Envoy's.
 */
export interface FilterSettings {
  /** Default "1.40". */
  readonly envoyVersion?: EnvoyVersion | undefined;
  /** What is sent to the server. Default: headers of both directions. */
  readonly processingMode?: ProcessingModeSettings | undefined;
  /** Failures let the transaction continue. Default false. */
  readonly failureModeAllow?: boolean | undefined;
  /** Time for an answer to each message, in milliseconds. Default 200. */
  readonly messageTimeoutMs?: number | undefined;
  /** Upper bound of `override_message_timeout`, in milliseconds. Default 0: such answers are ignored. */
  readonly maxMessageTimeoutMs?: number | undefined;
  /** `mode_override` is obeyed. Default false. */
  readonly allowModeOverride?: boolean | undefined;
  /** Overrides must be in this list, `requestHeaderMode` aside. Default and empty: any. */
  readonly allowedOverrideModes?: readonly ProcessingModeSettings[] | undefined;
  /** Which headers may be changed. Default: all but routing headers and `x-envoy-…`. */
  readonly mutationRules?: FilterMutationRules | undefined;
  /** Which headers the server sees. Default: all. */
  readonly forwardRules?: ForwardRules | undefined;
  /** Status of the reply when processing fails; a timeout stays 504. Default 500. */
  readonly statusOnError?: number | undefined;
  /** The server only watches. Default false. */
  readonly observabilityMode?: boolean | undefined;
  /** In observability mode: how long the stream stays open after the transaction. Default 5000. */
  readonly deferredCloseTimeoutMs?: number | undefined;
  /** Immediate responses are protocol errors. Default false. */
  readonly disableImmediateResponse?: boolean | undefined;
  /** Default DEFAULT: as the server says. */
  readonly routeCacheAction?: "DEFAULT" | "CLEAR" | "RETAIN" | undefined;
  /** The older spelling of RETAIN. Default false. */
  readonly disableClearRouteCache?: boolean | undefined;
  /** Which dynamic metadata goes to the server, and may come from it. Default: none. */
  readonly metadataOptions?: MetadataOptions | undefined;
  /** Names of attributes sent with the first message of the request. Default: none. */
  readonly requestAttributes?: readonly string[] | undefined;
  /** Names of attributes sent with the first message of the response. Default: none. */
  readonly responseAttributes?: readonly string[] | undefined;
  /** In STREAMED, chunks do not wait for the answer to the headers. Default false. */
  readonly sendBodyWithoutWaitingForHeaderResponse?: boolean | undefined;
  /** Keeps `content-length` in the streaming modes. Needs Envoy 1.38. Default false. */
  readonly allowContentLengthHeader?: boolean | undefined;
  /** Metadata of the gRPC call. Default: none. */
  readonly grpcInitialMetadata?: Readonly<Record<string, string>> | undefined;
  /** What the transaction's route changes. */
  readonly perRoute?: PerRouteSettings | undefined;
  /** `per_connection_buffer_limit_bytes` of listener and upstream, for HTTP/1 clients. Default 1 MiB. HTTP/2: always 16 MiB. */
  readonly bufferLimitBytes?: number | undefined;
  /** `stream_idle_timeout` of the connection manager, in milliseconds. Default 300000; 0: none. */
  readonly streamIdleTimeoutMs?: number | undefined;
  /** `timeout` of the route, in milliseconds, from the end of the request to the end of the response. Default 15000; 0: none. */
  readonly routeTimeoutMs?: number | undefined;
}
