import type { DataFrame, DataStatus } from "../http/filter-path.ts";
import type { HeaderMap } from "../http/header-map.ts";
import type { FilterDirection } from "./direction-state.ts";
import type { FilterState } from "./filter-state.ts";
import { receiveBuffered, receivePartial, receiveStreamed } from "./receive-body.ts";
import { sendBody, sendHeaders, sendTrailers } from "./send-message.ts";

/** Handles headers that reach the filter (`decodeHeaders`, `encodeHeaders`). */
export function receiveHeaders(
  filter: FilterState,
  state: FilterDirection,
  { headers, endStream }: { readonly headers: HeaderMap; readonly endStream: boolean },
): "continue" | "stop" {
  const { config } = filter;
  if (config.observabilityMode) return observeHeaders(filter, state, headers, endStream);
  if (endStream) state.complete = true;
  let status: "continue" | "stop" = "continue";
  if (state.mode.sendHeaders && filter.openStream()) {
    state.headers = headers;
    state.hasNoBody = endStream;
    sendHeaders(filter, state, endStream);
    state.paused = true;
    status = "stop";
  }
  // The headers were sent before this, so the server gets the length, and the receiver does not.
  if (!filter.processingComplete && removesContentLength(filter, state)) headers.remove("content-length");
  if (state.direction === "response" && closesAtResponse(filter)) endProcessing(filter);
  return status;
}

/** Handles data that reaches the filter (`decodeData`, `encodeData`). */
export function receiveData(filter: FilterState, state: FilterDirection, frame: DataFrame): DataStatus {
  state.bodyReceived = true;
  if (filter.config.observabilityMode) return observeData(filter, state, frame);
  if (frame.endStream) state.complete = true;
  if (state.bodyReplaced) {
    frame.bytes = frame.bytes.subarray(0, 0);
    return "continue";
  }
  if (filter.streamedReply !== "none") return receiveWhileReplying(filter, state, frame);
  if (filter.processingComplete) return "continue";
  if (state.waitsFor === "headers" && !sendsBodyBeforeAnswer(filter, state)) {
    state.paused = true;
    // The limit applies only to a filter that buffers. In other modes the source waits.
    return state.mode.body === "BUFFERED" ? "stop_and_buffer" : "stop_and_watermark";
  }
  switch (state.mode.body) {
    case "BUFFERED":
      return receiveBuffered(filter, state, frame);
    case "BUFFERED_PARTIAL":
      return receivePartial(filter, state, frame);
    case "STREAMED":
    case "FULL_DUPLEX_STREAMED":
      return receiveStreamed(filter, state, frame);
    case "NONE":
      return "continue";
  }
}

/**
 * The server answers the client itself. The upstream gets no body; in FULL_DUPLEX_STREAMED the server still gets it.
 */
function receiveWhileReplying(filter: FilterState, state: FilterDirection, frame: DataFrame): DataStatus {
  if (state.mode.body === "FULL_DUPLEX_STREAMED") receiveStreamed(filter, state, frame);
  return "stop_no_buffer";
}

/** Handles trailers that reach the filter (`decodeTrailers`, `encodeTrailers`). */
export function receiveTrailers(filter: FilterState, state: FilterDirection, trailers: HeaderMap): "continue" | "stop" {
  if (filter.processingComplete) return filter.streamedReply === "none" ? "continue" : "stop";
  if (filter.config.observabilityMode) {
    if (state.mode.sendTrailers && filter.openStream()) sendTrailers(filter, state, trailers);
    return "continue";
  }
  const bodyWasComplete = state.complete;
  state.complete = true;
  state.trailers = trailers;
  if (state.waitsFor !== "idle" && state.mode.body !== "FULL_DUPLEX_STREAMED") {
    state.paused = true;
    return "stop";
  }
  if (!bodyWasComplete && sendHeldBody(filter, state)) return "stop";
  if (!state.mode.sendTrailers || !filter.openStream()) return "continue";
  sendTrailers(filter, state, trailers);
  state.paused = true;
  return "stop";
}

/** True if nothing of the response is sent to the server, and nothing of the request is still to come. */
function closesAtResponse({ config, request, response }: FilterState): boolean {
  if (!response.isSkipped || config.release.closesStream === "when_over") return false;
  return config.release.closesStream === "with_last_answer" || request.isDone;
}

/** Ends processing before the transaction ends, because Envoy needs nothing more from the server. */
export function endProcessing(filter: FilterState): void {
  filter.processingComplete = true;
  filter.closeStream();
}

/**
 * True if Envoy cannot know how long the body will be. It then removes `content-length`, and the receiver gets a
 * chunked body. The current mode decides, so an override that comes with the answer is too late.
 */
export function removesContentLength({ config }: FilterState, { mode }: FilterDirection): boolean {
  if (mode.body === "NONE" || config.keepsContentLength) return false;
  return mode.body !== "BUFFERED" || !mode.sendHeaders;
}

function sendsBodyBeforeAnswer({ config }: FilterState, { mode }: FilterDirection): boolean {
  return mode.body === "FULL_DUPLEX_STREAMED" || (mode.body === "STREAMED" && config.sendsBodyEarly);
}

/** Sends the body that was held until the trailers showed that it is complete. */
function sendHeldBody(filter: FilterState, state: FilterDirection): boolean {
  const { mode, path, queue } = state;
  if (mode.body === "BUFFERED" && path.buffered !== undefined) {
    if (!filter.openStream()) return false;
    sendBody(filter, state, { bytes: path.buffered.bytes(), endStream: false, waitsFor: "buffered_body" });
  } else if (mode.body === "BUFFERED_PARTIAL" && !queue.isEmpty) {
    if (!filter.openStream()) return false;
    sendBody(filter, state, { ...queue.consolidate(), endStream: false, waitsFor: "buffered_partial_body" });
  } else {
    return false;
  }
  state.paused = true;
  return true;
}

function observeHeaders(
  filter: FilterState,
  state: FilterDirection,
  headers: HeaderMap,
  endStream: boolean,
): "continue" {
  if (state.mode.sendHeaders && filter.openStream()) {
    state.headers = headers;
    sendHeaders(filter, state, endStream);
  }
  return "continue";
}

/** Copies only STREAMED bodies. Other modes than NONE are a mistake that Envoy logs. */
function observeData(filter: FilterState, state: FilterDirection, { bytes, endStream }: DataFrame): "continue" {
  if (state.mode.body === "STREAMED" && filter.openStream()) sendBody(filter, state, { bytes, endStream });
  return "continue";
}
