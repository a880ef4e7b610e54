import {
  type ProcessingMode,
  ProcessingMode_BodySendMode,
  ProcessingMode_HeaderSendMode,
} from "../../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import type { BodySendMode, HeaderSendMode, ProcessingModeSettings } from "../../protocol/envoy-settings.ts";
import type { Direction } from "../../protocol/phase.ts";

/** A processing mode in which every field has its value. */
export type CompleteProcessingMode = {
  readonly [F in keyof ProcessingModeSettings]-?: NonNullable<ProcessingModeSettings[F]>;
};

/** What a mode means for one direction. */
export interface DirectionMode {
  readonly sendHeaders: boolean;
  readonly sendTrailers: boolean;
  readonly body: BodySendMode;
}

const DEFAULT_MODE: CompleteProcessingMode = {
  requestHeaderMode: "DEFAULT",
  responseHeaderMode: "DEFAULT",
  requestBodyMode: "NONE",
  responseBodyMode: "NONE",
  requestTrailerMode: "DEFAULT",
  responseTrailerMode: "DEFAULT",
};

/** A mode in which nothing is sent, for a route with `disabled`. */
export const NOTHING_SENT: ProcessingModeSettings = { requestHeaderMode: "SKIP", responseHeaderMode: "SKIP" };

/** Fills in Envoy's defaults. */
export function completeMode(settings: ProcessingModeSettings = {}): CompleteProcessingMode {
  return {
    requestHeaderMode: settings.requestHeaderMode ?? DEFAULT_MODE.requestHeaderMode,
    responseHeaderMode: settings.responseHeaderMode ?? DEFAULT_MODE.responseHeaderMode,
    requestBodyMode: settings.requestBodyMode ?? DEFAULT_MODE.requestBodyMode,
    responseBodyMode: settings.responseBodyMode ?? DEFAULT_MODE.responseBodyMode,
    requestTrailerMode: settings.requestTrailerMode ?? DEFAULT_MODE.requestTrailerMode,
    responseTrailerMode: settings.responseTrailerMode ?? DEFAULT_MODE.responseTrailerMode,
  };
}

/** One direction's part of a mode: headers are sent unless the mode is SKIP, trailers only if the mode is SEND. */
export function directionMode(mode: CompleteProcessingMode, direction: Direction): DirectionMode {
  return direction === "request"
    ? {
        sendHeaders: mode.requestHeaderMode !== "SKIP",
        sendTrailers: mode.requestTrailerMode === "SEND",
        body: mode.requestBodyMode,
      }
    : {
        sendHeaders: mode.responseHeaderMode !== "SKIP",
        sendTrailers: mode.responseTrailerMode === "SEND",
        body: mode.responseBodyMode,
      };
}

/**
 * Returns the mode that a `mode_override` asks for. DEFAULT for headers and trailers keeps the configured mode. A body
 * mode that the server does not name becomes NONE.
 */
export function overriddenMode(override: ProcessingMode, configured: CompleteProcessingMode): CompleteProcessingMode {
  const headers = (value: ProcessingMode_HeaderSendMode, kept: HeaderSendMode) =>
    value === ProcessingMode_HeaderSendMode.DEFAULT ? kept : headerModeName(value);
  return {
    requestHeaderMode: headers(override.requestHeaderMode, configured.requestHeaderMode),
    responseHeaderMode: headers(override.responseHeaderMode, configured.responseHeaderMode),
    requestTrailerMode: headers(override.requestTrailerMode, configured.requestTrailerMode),
    responseTrailerMode: headers(override.responseTrailerMode, configured.responseTrailerMode),
    requestBodyMode: bodyModeName(override.requestBodyMode),
    responseBodyMode: bodyModeName(override.responseBodyMode),
  };
}

/**
 * True if `allowed_override_modes` has the mode. The values are compared exactly: DEFAULT is not SEND. An empty list
 * allows every mode.
 */
export function isAllowedOverride(mode: CompleteProcessingMode, allowed: readonly ProcessingModeSettings[]): boolean {
  if (allowed.length === 0) return true;
  return allowed.some((settings) => {
    const other = completeMode(settings);
    return (
      mode.requestBodyMode === other.requestBodyMode &&
      mode.responseBodyMode === other.responseBodyMode &&
      mode.responseHeaderMode === other.responseHeaderMode &&
      mode.requestTrailerMode === other.requestTrailerMode &&
      mode.responseTrailerMode === other.responseTrailerMode
    );
  });
}

/** Returns a body mode as messages have it. */
export function bodyModeNumber(mode: BodySendMode): ProcessingMode_BodySendMode {
  return ProcessingMode_BodySendMode[mode];
}

// Enums of proto3 are open. Envoy's code has no case for a number that it does not know, and leaves the body alone.
function bodyModeName(mode: ProcessingMode_BodySendMode): BodySendMode {
  const name = ProcessingMode_BodySendMode[mode] as keyof typeof ProcessingMode_BodySendMode | undefined;
  return name === undefined || name === "GRPC" ? "NONE" : name;
}

function headerModeName(mode: ProcessingMode_HeaderSendMode): HeaderSendMode {
  return (ProcessingMode_HeaderSendMode[mode] as HeaderSendMode | undefined) ?? "SEND";
}
