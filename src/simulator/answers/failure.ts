import type { FilterDirection } from "../filter/direction-state.ts";
import type { FilterState, LocalReply } from "../filter/filter-state.ts";
import { NO_BYTES } from "../http/byte-buffer.ts";
import type { AnswerProblem } from "./answer-problem.ts";

/**
 * Handles an unusable answer. If it cannot be applied, the transaction fails. If Envoy did not wait for it, the
 * transaction can pass.
 */
export function answerFailed(filter: FilterState, problem: AnswerProblem): void {
  if (problem.kind === "spurious" && filter.failsOpen && filter.streamedReply === "none") {
    filter.counters.failure_mode_allowed++;
    filter.closeStream();
    passUnprocessed(filter);
    return;
  }
  failTransaction(filter, filter.config.statusOnError, problem.details);
}

/** Handles a stream that the server ended with OK: the rest of the transaction continues without the server. */
export function streamClosed(filter: FilterState): void {
  if (!filter.processingComplete) endWithoutServer(filter);
}

/** Handles a failed stream: a gRPC status, an HTTP status, a reset, or a connection that was refused. */
export function streamFailed(filter: FilterState, code: number, message: string): void {
  const { config, counters } = filter;
  counters.streams_failed++;
  if (config.release.countsEndings) counters.server_half_closed++;
  if (filter.processingComplete) return;
  if (filter.failsOpen && filter.streamedReply === "none") {
    counters.failure_mode_allowed++;
    endWithoutServer(filter);
    return;
  }
  failTransaction(filter, config.statusOnError, `ext_proc_error_gRPC_error_${code}{${message}}`);
}

/** Handles an answer that did not come in time. */
export function messageTimedOut(filter: FilterState): void {
  filter.counters.message_timeouts++;
  if (!filter.failsOpen) {
    failTransaction(filter, 504, "ext_proc_error_per-message_timeout_exceeded");
    return;
  }
  filter.closeStream();
  filter.counters.failure_mode_allowed++;
  passUnprocessed(filter);
}

/** Sends a local reply to the client. Returns false if the client can only be reset. */
export function replyLocally(filter: FilterState, reply: LocalReply): boolean {
  filter.repliedLocally = true;
  if (filter.config.release.countsEndings) filter.counters.immediate_responses_sent++;
  return filter.callbacks.localReply({ ...reply, details: reply.details.replaceAll(/\s/g, "_") });
}

/** Ends processing; both directions stop waiting. */
export function stopProcessing(filter: FilterState): void {
  filter.processingComplete = true;
  filter.request.finishCall();
  filter.response.finishCall();
  filter.closeStream();
}

function failTransaction(filter: FilterState, status: number, details: string): void {
  stopProcessing(filter);
  replyLocally(filter, { status, body: NO_BYTES, details });
}

function endWithoutServer(filter: FilterState): void {
  if (filter.config.release.countsEndings) filter.counters.server_half_closed++;
  filter.counters.streams_closed++;
  filter.closeStream();
  warnOfLoss(filter, filter.request);
  warnOfLoss(filter, filter.response);
  passUnprocessed(filter);
}

/** Stops the filter: what it holds passes unchanged. */
function passUnprocessed(filter: FilterState): void {
  filter.processingComplete = true;
  // The client has got the beginning of the server's response, so no other response can pass.
  if (filter.streamedReply !== "none") return;
  letPass(filter.request);
  letPass(filter.response);
}

function letPass(state: FilterDirection): void {
  state.finishCall();
  if (state.queue.byteLength > 0) {
    const { bytes, endStream } = state.queue.consolidate();
    state.queue.clear();
    state.path.inject(bytes, endStream);
  }
  state.clearWatermark();
  state.resumeIfPaused();
}

function warnOfLoss(filter: FilterState, { mode, bodyReceived, direction, waitsFor }: FilterDirection): void {
  if (mode.body !== "FULL_DUPLEX_STREAMED" || !bodyReceived || waitsFor === "idle") return;
  filter.warn("body_lost", direction === "request" ? "requestBody" : "responseBody");
}
