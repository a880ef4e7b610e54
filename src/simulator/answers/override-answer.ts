import type { ProcessingMode } from "../../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { FilterState } from "../filter/filter-state.ts";
import { directionMode, isAllowedOverride, overriddenMode } from "../settings/processing-mode.ts";

/**
 * Applies `mode_override`, before the rest of the answer. Envoy obeys it only while headers wait for their answer, in
 * either direction.
 *
 * @returns True if Envoy obeyed it.
 */
export function overrideMode(filter: FilterState, override: ProcessingMode, answer: ProcessingResponse): boolean {
  const { config, request, response } = filter;
  const mode = overriddenMode(override, config.configuredMode);
  const { allowModeOverride = false, allowedOverrideModes = [] } = config.settings;
  const honoured =
    allowModeOverride &&
    !config.sendsBodyEarly &&
    config.configuredMode.requestBodyMode !== "FULL_DUPLEX_STREAMED" &&
    config.configuredMode.responseBodyMode !== "FULL_DUPLEX_STREAMED" &&
    (request.waitsFor === "headers" || response.waitsFor === "headers") &&
    isAllowedOverride(mode, allowedOverrideModes);
  if (!honoured) {
    filter.warn("mode_override_ignored", undefined);
    return false;
  }
  const answered = request.waitsFor === "headers" ? request : response;
  const was = { request: request.mode.body, response: response.mode.body };
  request.mode = directionMode(mode, "request");
  response.mode = directionMode(mode, "response");
  const isStreaming = answered.mode.body === "STREAMED" || answered.mode.body === "FULL_DUPLEX_STREAMED";
  const keptBefore = was[answered.direction] === "NONE" || was[answered.direction] === "BUFFERED";
  if (isStreaming && keptBefore && answered.headers?.has("content-length") && !removesLength(answer)) {
    filter.warn("content_length_kept", answered.direction === "request" ? "requestHeaders" : "responseHeaders");
  }
  if (answered === request && was.response !== "NONE" && response.mode.body === "NONE") {
    filter.warn("mode_override_resets_body_mode", "requestHeaders");
  }
  return true;
}

/** True if the answer removes `content-length`. The headers of the answer change after the override. */
function removesLength({ response: { value } }: ProcessingResponse): boolean {
  if (value?.$typeName !== "envoy.service.ext_proc.v3.HeadersResponse") return false;
  return (value.response?.headerMutation?.removeHeaders ?? []).some((name) => name.toLowerCase() === "content-length");
}

/**
 * Applies `override_message_timeout`: more time for the answers that Envoy waits for. The message does not name a
 * direction, so every running timer is set again. Envoy ignores everything else in such a message.
 */
export function overrideMessageTimeout(filter: FilterState, message: ProcessingResponse): void {
  const { seconds = 0n, nanos = 0 } = message.overrideMessageTimeout ?? {};
  const timeoutMs = Number(seconds) * 1000 + Math.floor(nanos / 1e6);
  if (message.response.case !== undefined) filter.warn("answer_lost_to_timeout_override", undefined);
  const inRange = timeoutMs >= 1 && timeoutMs <= filter.config.maxMessageTimeoutMs;
  const requestExtended = inRange && filter.request.timer.extend(timeoutMs);
  const responseExtended = inRange && filter.response.timer.extend(timeoutMs);
  if (requestExtended || responseExtended) {
    filter.counters.override_message_timeout_received++;
  } else {
    filter.counters.override_message_timeout_ignored++;
    filter.warn("timeout_override_ignored", undefined);
  }
}
