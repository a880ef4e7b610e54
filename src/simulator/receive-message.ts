import type { BodyResponse, ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { AnswerProblem } from "./answer-problem.ts";
import { answerBody } from "./body-answer.ts";
import type { DirectionState } from "./direction-state.ts";
import { answerFailed } from "./failure.ts";
import type { FilterState } from "./filter-state.ts";
import { answerHeaders } from "./headers-answer.ts";
import { respondImmediately } from "./immediate-response.ts";
import { overrideMessageTimeout, overrideMode } from "./override-answer.ts";
import { endProcessing } from "./receive-http.ts";
import { respondInPieces } from "./streamed-reply.ts";
import { answerTrailers } from "./trailers-answer.ts";

/** The server sent a message. */
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
  if (message.modeOverride) overrideMode(filter, message.modeOverride);
  const endsBody = isLastOfBody(filter, message);
  const problem = answer(filter, message);
  const { counters } = filter;
  if (problem?.kind === "spurious") counters.spurious_msgs_received++;
  else counters.stream_msgs_received++;
  if (problem) answerFailed(filter, problem);
  else if (filter.config.release.closesStreamEarly && isLastNeeded(filter, message, endsBody)) endProcessing(filter);
}

function answer(filter: FilterState, message: ProcessingResponse): AnswerProblem | undefined {
  const { response } = message;
  const isReply = response.case === "streamedImmediateResponse" || response.case === "immediateResponse";
  if (filter.streamedReply !== "none" && !isReply) return { kind: "spurious", details: "spurious message" };
  switch (response.case) {
    case "requestHeaders":
      takeMetadata(filter, message);
      return answerHeaders(filter, filter.request, response.value);
    case "responseHeaders":
      takeMetadata(filter, message);
      return answerHeaders(filter, filter.response, response.value);
    case "requestBody":
      takeMetadata(filter, message);
      return answerBody(filter, filter.request, response.value);
    case "responseBody":
      takeMetadata(filter, message);
      return answerBody(filter, filter.response, response.value);
    case "requestTrailers":
      takeMetadata(filter, message);
      return answerTrailers(filter, filter.request, response.value);
    case "responseTrailers":
      takeMetadata(filter, message);
      return answerTrailers(filter, filter.response, response.value);
    case "immediateResponse":
      if (filter.config.settings.disableImmediateResponse) return IMMEDIATE_DISABLED;
      takeMetadata(filter, message);
      respondImmediately(filter, response.value);
      return undefined;
    case "streamedImmediateResponse":
      return respondInPieces(filter, response.value);
    default:
      return isDirectOverride(filter, message) ? undefined : { kind: "spurious", details: "unhandled message" };
  }
}

const IMMEDIATE_DISABLED: AnswerProblem = {
  kind: "spurious",
  details: "unhandled immediate response due to config disabled it",
};

/** A message that is nothing but a `mode_override`, before the answer to headers. */
function isDirectOverride({ config, request, response }: FilterState, message: ProcessingResponse): boolean {
  if (!config.release.directModeOverride || !message.modeOverride) return false;
  return request.waitsFor === "headers" || response.waitsFor === "headers";
}

function takeMetadata(filter: FilterState, message: ProcessingResponse): void {
  const { receivingNamespaces, release } = filter.config;
  const dropped = filter.metadata.receive(message, receivingNamespaces, release.typedDynamicMetadata);
  for (const namespace of dropped) filter.warn("dynamic_metadata_dropped", undefined, namespace);
}

/**
 * Whether the answer is the last of a body, told before it is applied. Envoy looks no closer than this: a body that was
 * held is never the last, so a stream with one stays open until the transaction is over.
 */
function isLastOfBody(filter: FilterState, { response }: ProcessingResponse): boolean {
  if (response.case === "requestBody") return endsDirection(filter.request, response.value);
  return response.case === "responseBody" && endsDirection(filter.response, response.value);
}

function endsDirection({ mode, queue }: DirectionState, { response }: BodyResponse): boolean {
  if (mode.body === "STREAMED") return queue.endsWithNext;
  const mutation = response?.bodyMutation?.mutation;
  return mode.body === "FULL_DUPLEX_STREAMED" && mutation?.case === "streamedResponse" && mutation.value.endOfStream;
}

/** No answer can be needed after this one: Envoy then closes the stream without waiting for the transaction's end. */
function isLastNeeded(filter: FilterState, { response }: ProcessingResponse, endsBody: boolean): boolean {
  switch (response.case) {
    case "requestHeaders":
      return hasNoMore(filter.request) && filter.response.isSkipped;
    case "requestBody":
      return endsBody && filter.response.isSkipped;
    case "requestTrailers":
      return filter.response.isSkipped;
    case "responseHeaders":
      return hasNoMore(filter.response);
    case "responseBody":
      return endsBody;
    case "responseTrailers":
      return true;
    default:
      return false;
  }
}

function hasNoMore({ hasNoBody, mode }: DirectionState): boolean {
  return hasNoBody || (mode.body === "NONE" && !mode.sendTrailers);
}
