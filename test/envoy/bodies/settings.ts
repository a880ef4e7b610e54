import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import type { DeclaredEnvoySettings } from "../../../src/protocol/envoy-settings.ts";

/** One way to configure the filter, and what the operator says of it. */
export interface Setting {
  /** Of both directions. */
  readonly mode: "NONE" | "BUFFERED" | "BUFFERED_PARTIAL" | "STREAMED" | "FULL_DUPLEX_STREAMED";
  /** Trailer mode SEND. */
  readonly trailers?: boolean;
  readonly overrides?: boolean;
  /** `send_body_without_waiting_for_header_response`. */
  readonly atOnce?: boolean;
  /** Envoy's buffers. Default: Envoy's own, 1 MiB. */
  readonly bufferLimitBytes?: number;
}

/** More than the largest body here. */
export const LARGE_BUFFER_BYTES = 48 << 20;
export const DEFAULT_BUFFER_BYTES = 1 << 20;
/** Envoy buffers what takes a body's place too, which is larger here than what came: above its limit that is a 413 or 500. */
const ROOMY_BUFFER_BYTES = 4 << 20;
/** No test here is about time. */
export const MESSAGE_TIMEOUT_MS = 60_000;

/** Every way in which a body may come, by its name. */
export const SETTINGS = {
  NONE: { mode: "NONE" },
  "NONE, overrides allowed": { mode: "NONE", overrides: true, bufferLimitBytes: ROOMY_BUFFER_BYTES },
  BUFFERED: { mode: "BUFFERED", trailers: true, bufferLimitBytes: LARGE_BUFFER_BYTES },
  BUFFERED_PARTIAL: { mode: "BUFFERED_PARTIAL", bufferLimitBytes: LARGE_BUFFER_BYTES },
  STREAMED: { mode: "STREAMED" },
  "STREAMED with trailers": { mode: "STREAMED", trailers: true },
  "STREAMED, overrides allowed": { mode: "STREAMED", overrides: true, bufferLimitBytes: ROOMY_BUFFER_BYTES },
  "STREAMED at once": { mode: "STREAMED", trailers: true, atOnce: true },
  FULL_DUPLEX_STREAMED: { mode: "FULL_DUPLEX_STREAMED", trailers: true },
} as const satisfies Record<string, Setting>;

export type SettingName = keyof typeof SETTINGS;

/** The filter's configuration. */
export function filterOf({ mode, trailers = false, overrides = false, atOnce = false }: Setting): JsonObject {
  const sent = trailers ? "SEND" : "SKIP";
  return {
    message_timeout: `${MESSAGE_TIMEOUT_MS / 1_000}s`,
    allow_mode_override: overrides,
    send_body_without_waiting_for_header_response: atOnce,
    processing_mode: {
      request_body_mode: mode,
      response_body_mode: mode,
      request_trailer_mode: sent,
      response_trailer_mode: sent,
    },
  };
}

/** The same as the server is told. */
export function declarationOf({ trailers, overrides, bufferLimitBytes }: Setting): DeclaredEnvoySettings {
  return {
    messageTimeoutMs: MESSAGE_TIMEOUT_MS,
    allowModeOverride: overrides ?? false,
    bufferLimitBytes: (overrides ? undefined : bufferLimitBytes) ?? DEFAULT_BUFFER_BYTES,
    ...(trailers === true && { processingMode: { requestTrailerMode: "SEND", responseTrailerMode: "SEND" } }),
  };
}
