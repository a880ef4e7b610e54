import { declareEnvoy, type EnvoyDeclaration } from "../protocol/envoy-declaration.ts";
import type { ModeOverride } from "../protocol/mode-override.ts";
import type { Direction } from "../protocol/phase.ts";
import { DEFAULT_BUFFER_LIMIT_BYTES } from "../simulator/filter/receive-body.ts";
import type { FilterSettings, ProcessingModeSettings } from "../simulator/settings/filter-settings.ts";

/** What an operator would declare who knows Envoy's settings: all of them, and nothing else. */
export function declaredSettings(settings: FilterSettings): EnvoyDeclaration {
  const { perRoute = {}, mutationRules = {}, allowedOverrideModes = [] } = settings;
  const mode = perRoute.processingMode ?? settings.processingMode ?? {};
  const trailers: Direction[] = [];
  if (mode.requestTrailerMode === "SEND") trailers.push("request");
  if (mode.responseTrailerMode === "SEND") trailers.push("response");
  const allows = settings.allowModeOverride ?? false;
  return declareEnvoy({
    messageTimeoutMs: settings.messageTimeoutMs,
    maxMessageTimeoutMs: settings.maxMessageTimeoutMs,
    allowModeOverride: allows && allowedOverrideModes.length > 0 ? allowedOverrideModes.map(modeOverride) : allows,
    bufferLimitBytes: settings.bufferLimitBytes ?? DEFAULT_BUFFER_LIMIT_BYTES,
    trailers,
    failureModeAllow: perRoute.failureModeAllow ?? settings.failureModeAllow,
    disableImmediateResponse: settings.disableImmediateResponse,
    allowContentLengthHeader: settings.allowContentLengthHeader,
    mutationRules,
  });
}

function modeOverride(mode: ProcessingModeSettings): ModeOverride {
  const { requestBodyMode = "NONE", responseBodyMode = "NONE" } = mode;
  return {
    requestBody: requestBodyMode,
    responseBody: responseBodyMode,
    ...(sendMode(mode.requestTrailerMode) && { requestTrailers: sendMode(mode.requestTrailerMode) }),
    ...(sendMode(mode.responseHeaderMode) && { responseHeaders: sendMode(mode.responseHeaderMode) }),
    ...(sendMode(mode.responseTrailerMode) && { responseTrailers: sendMode(mode.responseTrailerMode) }),
  };
}

function sendMode(mode: ProcessingModeSettings["requestTrailerMode"]): "SEND" | "SKIP" | undefined {
  return mode === "DEFAULT" ? undefined : mode;
}
