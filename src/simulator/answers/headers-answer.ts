import {
  type BodyMutation,
  type CommonResponse,
  CommonResponse_ResponseStatus,
  type HeadersResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { CallbackState, FilterDirection } from "../filter/direction-state.ts";
import type { FilterState } from "../filter/filter-state.ts";
import { enqueue, isBelowLowLimit, isOverLimit, sendPartial } from "../filter/receive-body.ts";
import { sendBody, sendTrailers } from "../filter/send-message.ts";
import { NO_BYTES } from "../http/byte-buffer.ts";
import { type AnswerProblem, SPURIOUS } from "./answer-problem.ts";
import { mutateHeaders } from "./mutate-headers.ts";
import { clearRouteCache } from "./route-cache.ts";

/** Applies an answer to headers. */
export function answerHeaders(
  filter: FilterState,
  state: FilterDirection,
  { response: common }: HeadersResponse,
): AnswerProblem | undefined {
  if (state.waitsFor !== "headers") return SPURIOUS;
  const replaces = common?.status === CommonResponse_ResponseStatus.CONTINUE_AND_REPLACE;
  if (common?.headerMutation) {
    const problem = mutateHeaders(filter, state, { mutation: common.headerMutation, replacesMessage: replaces });
    if (problem) return problem;
  }
  clearRouteCache(filter, state, common);
  warnOfUnread(filter, state, common);
  state.finishCall(replaces ? "idle" : stateAfterHeaders(filter, state));
  if (replaces) {
    replaceMessage(state, common?.bodyMutation);
    letGo(state);
  } else {
    goOn(filter, state);
  }
  return undefined;
}

/**
 * Returns the state after the answer to headers. If Envoy did not wait with the body, pieces can already wait for
 * answers.
 */
function stateAfterHeaders(filter: FilterState, state: FilterDirection): CallbackState {
  const { mode, queue } = state;
  if (mode.body === "STREAMED" && filter.config.sendsBodyEarly && !queue.isEmpty) return "streamed_body";
  if (mode.body !== "FULL_DUPLEX_STREAMED") return "idle";
  if (state.bodyReceived) return "streamed_body";
  return state.trailers ? "trailers" : "idle";
}

/** CONTINUE_AND_REPLACE: the answer replaces the HTTP message, and the server gets no more of this direction. */
function replaceMessage(state: FilterDirection, mutation: BodyMutation | undefined): void {
  if (mutation) {
    state.headers?.remove("content-length");
    state.bodyReplaced = true;
    const { case: kind, value } = mutation.mutation;
    const kept = kind === "clearBody" && !value ? state.path.takeBuffered() : NO_BYTES;
    state.path.takeBuffered();
    state.path.addBuffered(kind === "body" ? value : kept);
  }
  state.queue.clear();
  state.mode = { ...state.mode, body: "NONE", sendTrailers: false };
  state.clearWatermark();
}

function goOn(filter: FilterState, state: FilterDirection): void {
  if (state.complete ? sendRest(filter, state) : hasBody(state) && sendBodySoFar(filter, state)) return;
  letGo(state);
}

/**
 * Sends what the server has not got yet of an HTTP message that has arrived as a whole. Returns false if there is
 * nothing to send.
 */
export function sendRest(filter: FilterState, state: FilterDirection): boolean {
  if (hasBody(state) && sendCompleteBody(filter, state)) return true;
  if (!state.mode.sendTrailers || state.trailers === undefined) return false;
  sendTrailers(filter, state, state.trailers);
  state.clearWatermark();
  return true;
}

function hasBody({ hasNoBody, mode }: FilterDirection): boolean {
  return !hasNoBody && mode.body !== "NONE";
}

/**
 * Handles a body that arrived as a whole before the answer. It is sent as one message, and waits like a buffered body
 * in any mode. If pieces were sent before, only the rest is sent. Returns false if there is nothing to send.
 */
function sendCompleteBody(filter: FilterState, state: FilterDirection): boolean {
  const endStream = state.trailers === undefined;
  if (state.waitsFor !== "idle") {
    sendHeldAsChunk(filter, state, endStream);
    return true;
  }
  const { buffered } = state.path;
  if (buffered === undefined) return false;
  sendBody(filter, state, { bytes: buffered.bytes(), endStream, waitsFor: "buffered_body" });
  state.clearWatermark();
  return true;
}

/**
 * Handles a body of which a part, or nothing, arrived before the answer. Returns true if the headers must wait for
 * more.
 */
function sendBodySoFar(filter: FilterState, state: FilterDirection): boolean {
  switch (state.mode.body) {
    case "BUFFERED":
      state.clearWatermark();
      return true;
    case "STREAMED":
    case "FULL_DUPLEX_STREAMED":
      sendHeldAsChunk(filter, state, false);
      if (!filter.config.release.holdsHeadersForFirstChunk) state.resumeIfPaused();
      return true;
    case "BUFFERED_PARTIAL":
      if (state.path.buffered) enqueue(filter, state, { bytes: state.path.takeBuffered(), endStream: false });
      if (isOverLimit(filter, state)) sendPartial(filter, state);
      else state.clearWatermark();
      return true;
    case "NONE":
      return false;
  }
}

function sendHeldAsChunk(filter: FilterState, state: FilterDirection, endStream: boolean): void {
  const bytes = state.path.takeBuffered();
  const isHeldEnd = endStream && !state.bodySent && filter.config.release.sendsHeldEmptyEnd;
  if (bytes.length > 0 || isHeldEnd) {
    if (state.mode.body === "STREAMED") enqueue(filter, state, { bytes, endStream });
    sendBody(filter, state, { bytes, endStream, waitsFor: "streamed_body" });
  }
  if (isBelowLowLimit(filter, state)) state.clearWatermark();
}

function letGo(state: FilterDirection): void {
  state.headers = undefined;
  state.resumeIfPaused();
  state.clearWatermark();
}

function warnOfUnread(filter: FilterState, { direction }: FilterDirection, common: CommonResponse | undefined): void {
  const phase = direction === "request" ? "requestHeaders" : "responseHeaders";
  const replaces = common?.status === CommonResponse_ResponseStatus.CONTINUE_AND_REPLACE;
  if (common?.bodyMutation && !replaces) filter.warn("body_mutation_in_headers_answer", phase);
  if (common?.trailers) filter.warn("trailers_ignored", phase);
}
