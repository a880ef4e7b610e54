import { ENVOY_BUFFER_LIMIT_BYTES } from "../../protocol/envoy-declaration.ts";
import type { EnvoySettings, ProcessingModeSettings } from "../../protocol/envoy-settings.ts";

/** A release line of Envoy whose behaviour the simulator knows from runs on the real one. */
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
 * Settings of a simulated Envoy: the fields that a server reads too, and the fields below, which only the simulator
 * needs. They configure Envoy's ext_proc filter and the few things around it that change what the filter does. Plain data
 * that survives JSON. Every field is optional; the defaults are Envoy's.
 */
export interface SimulatedEnvoySettings extends EnvoySettings {
  /** Default "1.40". */
  readonly envoyVersion?: EnvoyVersion | undefined;
  /** Which headers the server sees. Default: all. */
  readonly forwardRules?: ForwardRules | undefined;
  /** Status of the reply when processing fails; a timeout stays 504. Default 500. */
  readonly statusOnError?: number | undefined;
  /** The server only watches. Default false. */
  readonly observabilityMode?: boolean | undefined;
  /** In observability mode: how long the stream stays open after the transaction. Default 5000. */
  readonly deferredCloseTimeoutMs?: number | undefined;
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
