import { ENVOY_BUFFER_LIMIT_BYTES } from "../../protocol/envoy-declaration.ts";
import type { EnvoySettings, ProcessingModeSettings } from "../../protocol/envoy-settings.ts";

/** A release line of Envoy whose behaviour the simulator knows from runs of a real Envoy. */
export type EnvoyVersion = "1.36" | "1.38" | "1.39" | "1.40";

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

/**
 * `HeaderForwardingRules`: which headers and trailers the server gets. If both lists match, the server does not get the
 * header.
 */
export interface ForwardRules {
  /** Default: every header. */
  readonly allowedHeaders?: readonly StringMatcher[] | undefined;
  /** Default: none. */
  readonly disallowedHeaders?: readonly StringMatcher[] | undefined;
}

/** Namespaces of dynamic metadata, by the kind of their values. Default: none. */
export interface MetadataNamespaces {
  readonly untyped?: readonly string[] | undefined;
  readonly typed?: readonly string[] | undefined;
}

/** `MetadataOptions`: which dynamic metadata is sent to the server, and which the server can set. */
export interface MetadataOptions {
  readonly forwardingNamespaces?: MetadataNamespaces | undefined;
  readonly receivingNamespaces?: MetadataNamespaces | undefined;
}

/** `ExtProcPerRoute`: what a route changes. Fields that are not set have the value of the filter's own settings. */
export interface PerRouteSettings {
  /** The filter does nothing on this route. Default false. */
  readonly disabled?: boolean | undefined;
  /** Replaces the filter's processing mode as a whole. */
  readonly processingMode?: ProcessingModeSettings | undefined;
  readonly metadataOptions?: MetadataOptions | undefined;
  /** Merged by name into the filter's metadata. */
  readonly grpcInitialMetadata?: Readonly<Record<string, string>> | undefined;
  readonly failureModeAllow?: boolean | undefined;
}

/**
 * Settings of a simulated Envoy: the fields that a server reads too, and the fields below, which only the simulator
 * needs. They configure Envoy's ext_proc filter, and other settings of Envoy that change what the filter does. All of
 * it is plain data. Every field is optional, and the defaults are Envoy's.
 */
export interface SimulatedEnvoySettings extends EnvoySettings {
  /** Default "1.40". */
  readonly envoyVersion?: EnvoyVersion | undefined;
  /** Which headers the server gets. Default: all. */
  readonly forwardRules?: ForwardRules | undefined;
  /** Status of the local reply if processing fails; after a timeout it is always 504. Default 500. */
  readonly statusOnError?: number | undefined;
  /** The server gets copies of all messages, and Envoy ignores its answers. Default false. */
  readonly observabilityMode?: boolean | undefined;
  /** In observability mode: how long the stream stays open after the transaction. Default 5000. */
  readonly deferredCloseTimeoutMs?: number | undefined;
  /** Default DEFAULT: the server's answers decide. */
  readonly routeCacheAction?: "DEFAULT" | "CLEAR" | "RETAIN" | undefined;
  /** The older name of RETAIN. Default false. */
  readonly disableClearRouteCache?: boolean | undefined;
  /** Which dynamic metadata is sent to the server, and which the server can set. Default: none. */
  readonly metadataOptions?: MetadataOptions | undefined;
  /** Names of attributes sent with the first message of the request. Default: none. */
  readonly requestAttributes?: readonly string[] | undefined;
  /** Names of attributes sent with the first message of the response. Default: none. */
  readonly responseAttributes?: readonly string[] | undefined;
  /** In STREAMED, chunks do not wait for the answer to the headers. Default false. */
  readonly sendBodyWithoutWaitingForHeaderResponse?: boolean | undefined;
  /** Metadata of the gRPC call. Default: none. */
  readonly grpcInitialMetadata?: Readonly<Record<string, string>> | undefined;
  /** What the transaction's route changes. */
  readonly perRoute?: PerRouteSettings | undefined;
  /** `stream_idle_timeout` of the connection manager, in milliseconds. Default 300000; 0: none. */
  readonly streamIdleTimeoutMs?: number | undefined;
  /** `timeout` of the route, in milliseconds, from the end of the request to the end of the response. Default 15000; 0: none. */
  readonly routeTimeoutMs?: number | undefined;
}

/** The settings that apply on a transaction's route: its `perRoute` is merged in, and the buffer limit is set. */
export function settingsOnRoute(
  settings: SimulatedEnvoySettings,
): SimulatedEnvoySettings & { readonly bufferLimitBytes: number } {
  const { perRoute = {}, metadataOptions, bufferLimitBytes = ENVOY_BUFFER_LIMIT_BYTES } = settings;
  const { forwardingNamespaces, receivingNamespaces } = perRoute.metadataOptions ?? {};
  return {
    ...settings,
    bufferLimitBytes,
    processingMode: perRoute.processingMode ?? settings.processingMode,
    failureModeAllow: perRoute.failureModeAllow ?? settings.failureModeAllow,
    grpcInitialMetadata: { ...settings.grpcInitialMetadata, ...perRoute.grpcInitialMetadata },
    metadataOptions: {
      forwardingNamespaces: forwardingNamespaces ?? metadataOptions?.forwardingNamespaces,
      receivingNamespaces: receivingNamespaces ?? metadataOptions?.receivingNamespaces,
    },
  };
}
