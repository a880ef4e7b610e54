import type { BodyResponse, ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { BodySendMode } from "../../protocol/envoy-settings.ts";
import { isBodyPhase, type Phase } from "../../protocol/phase.ts";
import type { FilterDirection } from "../filter/direction-state.ts";
import type { FilterState } from "../filter/filter-state.ts";
import { endProcessing } from "../filter/receive-http.ts";
import type { AnswerProblem } from "./answer-problem.ts";
import { answerBody } from "./body-answer.ts";
import { answerFailed } from "./failure.ts";
import { answerHeaders } from "./headers-answer.ts";
import { respondImmediately } from "./immediate-response.ts";
import { overrideMessageTimeout, overrideMode } from "./override-answer.ts";
import { respondInPieces } from "./streamed-reply.ts";
import { answerTrailers } from "./trailers-answer.ts";

/** Handles a message of the server. */
export function receiveMessage(filter: FilterState, message: ProcessingResponse): void {
  if (filter.config.observabilityMode) {
    filter.warn("answer_in_observability_mode", undefined);
    return;
  }
  if (filter.processingComplete) {
    filter.warn("answer_after_end", undefined);
    return;
  }
  if (message.overrideMessageTimeout) {
    overrideMessageTimeout(filter, message);
    return;
  }
  const bodyMode = filter.request.mode.body;
  const overridden = message.modeOverride ? overrideMode(filter, message.modeOverride, message) : false;
  if (overridden && message.response.case === undefined && isDirectOverride(filter, bodyMode)) return;
  const endsBody = isLastOfBody(filter, message);
  const problem = answer(filter, message);
  const { counters } = filter;
  if (problem?.kind === "spurious") counters.spurious_msgs_received++;
  else if (message.response.case !== undefined) counters.stream_msgs_received++;
  if (problem) answerFailed(filter, problem);
  else if (isLastNeeded(filter, message, endsBody)) endProcessing(filter);
}

function answer(filter: FilterState, message: ProcessingResponse): AnswerProblem | undefined {
  const { response } = message;
  const isReply = response.case === "streamedImmediateResponse" || response.case === "immediateResponse";
  if (filter.streamedReply !== "none" && !isReply) return { kind: "spurious", details: "spurious message" };
  if (response.case === "immediateResponse" && filter.config.settings.disableImmediateResponse)
    return IMMEDIATE_DISABLED;
  // Pieces of a local reply set no metadata, and neither does a message without a member.
  if (response.case !== undefined && response.case !== "streamedImmediateResponse") takeMetadata(filter, message);
  switch (response.case) {
    case "requestHeaders":
      return answerHeaders(filter, filter.request, response.value);
    case "responseHeaders":
      return answerHeaders(filter, filter.response, response.value);
    case "requestBody":
      return answerBody(filter, filter.request, response.value);
    case "responseBody":
      return answerBody(filter, filter.response, response.value);
    case "requestTrailers":
      return answerTrailers(filter, filter.request, response.value);
    case "responseTrailers":
      return answerTrailers(filter, filter.response, response.value);
    case "immediateResponse":
      respondImmediately(filter, response.value);
      return undefined;
    case "streamedImmediateResponse":
      return respondInPieces(filter, response.value);
    default:
      return { kind: "spurious", details: "unhandled message" };
  }
}

const IMMEDIATE_DISABLED: AnswerProblem = {
  kind: "spurious",
  details: "unhandled immediate response due to config disabled it",
};

/**
 * True if a `mode_override` can come alone, before the answer to request headers: only to FULL_DUPLEX_STREAMED, and not
 * if the body was to be held.
 */
function isDirectOverride({ config, request: { mode, waitsFor } }: FilterState, from: BodySendMode): boolean {
  if (!config.release.directModeOverride || waitsFor !== "headers") return false;
  if (from === "BUFFERED" || from === "BUFFERED_PARTIAL") return false;
  return mode.body === "FULL_DUPLEX_STREAMED" && mode.sendTrailers;
}

function takeMetadata(filter: FilterState, message: ProcessingResponse): void {
  const { receivingNamespaces, release } = filter.config;
  const dropped = filter.metadata.receive(message, receivingNamespaces, release.typedDynamicMetadata);
  for (const { namespace, code } of dropped) filter.warn(code, undefined, namespace);
}

/**
 * True if the answer is the last one of a body. It is determined before the answer is applied. Envoy checks no more
 * than this: an answer to a held body is never the last, so the stream stays open until the transaction is over.
 */
function isLastOfBody(filter: FilterState, { response }: ProcessingResponse): boolean {
  if (response.case === "requestBody") return endsBodyOf(filter.request, response.value);
  return response.case === "responseBody" && endsBodyOf(filter.response, response.value);
}

function endsBodyOf({ mode, queue }: FilterDirection, { response }: BodyResponse): boolean {
  if (mode.body === "STREAMED") return queue.endsWithNext;
  const mutation = response?.bodyMutation?.mutation;
  return mode.body === "FULL_DUPLEX_STREAMED" && mutation?.case === "streamedResponse" && mutation.value.endOfStream;
}

/** True if no answer can be needed after this one. Envoy then closes the stream before the end of the transaction. */
function isLastNeeded(filter: FilterState, { response: answer }: ProcessingResponse, endsBody: boolean): boolean {
  const { request, response, config } = filter;
  switch (answer.case) {
    case "requestHeaders":
    case "requestBody":
    case "requestTrailers":
      request.answered ||= endsDirection(request, answer.case, endsBody);
      if (config.release.closesStream === "with_last_answer") return request.answered && response.isSkipped;
      break;
    case "responseHeaders":
    case "responseBody":
    case "responseTrailers":
      response.answered ||= endsDirection(response, answer.case, endsBody);
      if (config.release.closesStream === "with_last_answer") return response.answered;
      break;
    default:
      return false;
  }
  return config.release.closesStream === "with_both_last_answers" && request.isDone && response.isDone;
}

function endsDirection(state: FilterDirection, phase: Phase, endsBody: boolean): boolean {
  if (phase === "requestHeaders" || phase === "responseHeaders") return hasNoMore(state);
  return isBodyPhase(phase) ? endsBody || isEndedByTrailers(state) : true;
}

/** True if the body has all its answers, and the trailers after it are not sent to the server. */
function isEndedByTrailers({ trailers, mode, queue, waitsFor }: FilterDirection): boolean {
  return trailers !== undefined && !mode.sendTrailers && queue.isEmpty && waitsFor === "idle";
}

/** True if only headers are sent of this direction. Trailers can come as long as the HTTP message is not complete. */
function hasNoMore({ hasNoBody, mode, complete, trailers }: FilterDirection): boolean {
  if (hasNoBody) return true;
  return mode.body === "NONE" && (!mode.sendTrailers || (complete && trailers === undefined));
}
