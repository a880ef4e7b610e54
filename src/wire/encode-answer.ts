import { toBinary } from "@bufbuild/protobuf";
import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  type BodyMutation,
  type CommonResponse,
  type HeaderMutation,
  type ImmediateResponse,
  type ProcessingResponse,
  ProcessingResponseSchema,
  type StreamedBodyResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { AnswerBytes, cachedBytes } from "./answer-cache.ts";
import { BackwardWriter } from "./backward-writer.ts";

/** The bytes of an answer. */
export interface EncodedAnswer {
  /** The number of bytes. */
  readonly length: number;
  /** Writes the bytes to an offset. */
  copyTo(target: Uint8Array, offset: number): void;
}

/** Module state: one writer with its memory for all answers, because a new one for each answer would cost more than the writing. */
const writer = new BackwardWriter();

/**
 * Encodes an answer. Answers that many streams share are encoded once. Nearly all others are written without protobuf-es,
 * which encodes the rest. The result is valid until the next call.
 */
export function encodeAnswer(answer: ProcessingResponse): EncodedAnswer {
  return cachedBytes(answer) ?? encodeDirectly(answer) ?? new AnswerBytes(toBinary(ProcessingResponseSchema, answer));
}

/**
 * Encodes an answer without protobuf-es. Undefined if it has something else than header changes, bodies or an immediate
 * response, text that is not ASCII, or too many bytes. The result is valid until the next call.
 */
export function encodeDirectly(answer: ProcessingResponse): EncodedAnswer | undefined {
  writer.begin();
  processingResponse(writer, answer);
  return writer.isComplete ? writer : undefined;
}

// Each function below writes one message: its fields with their numbers, from the last to the first. A new field is one
// more line.

/** Numbers of the members of `ProcessingResponse.response`. */
const MEMBER = {
  requestHeaders: 1,
  responseHeaders: 2,
  requestBody: 3,
  responseBody: 4,
  requestTrailers: 5,
  responseTrailers: 6,
  immediateResponse: 7,
} as const;

function processingResponse(out: BackwardWriter, answer: ProcessingResponse): void {
  out.leaveIf(answer.$unknown !== undefined);
  out.leaveIf(hasRareField(answer));
  const { response } = answer;
  const since = out.length;
  switch (response.case) {
    case "requestHeaders":
    case "responseHeaders":
    case "requestBody":
    case "responseBody":
      out.leaveIf(response.value.$unknown !== undefined);
      if (response.value.response) commonResponse(out, response.value.response);
      out.nested(MEMBER[response.case], since);
      break;
    case "requestTrailers":
    case "responseTrailers":
      out.leaveIf(response.value.$unknown !== undefined);
      if (response.value.headerMutation) headerMutation(out, 1, response.value.headerMutation);
      out.nested(MEMBER[response.case], since);
      break;
    case "immediateResponse":
      immediateResponse(out, response.value);
      out.nested(MEMBER.immediateResponse, since);
      break;
    default:
      out.leaveIf(true);
  }
}

function hasRareField(answer: ProcessingResponse): boolean {
  if (answer.dynamicMetadata || answer.modeOverride || answer.overrideMessageTimeout || answer.serverWindowUpdate)
    return true;
  if (answer.requestDrain || answer.requestDrainRequests || answer.requestDrainResponses) return true;
  for (const _namespace in answer.typedDynamicMetadata) return true;
  return false;
}

/** Field 1 of a `HeadersResponse` or `BodyResponse`. */
function commonResponse(out: BackwardWriter, common: CommonResponse): void {
  const since = out.length;
  out.leaveIf(common.$unknown !== undefined);
  out.flag(5, common.clearRouteCache);
  out.leaveIf(common.trailers !== undefined);
  if (common.bodyMutation) bodyMutation(out, common.bodyMutation);
  if (common.headerMutation) headerMutation(out, 2, common.headerMutation);
  out.number(1, common.status);
  out.nested(1, since);
}

function headerMutation(out: BackwardWriter, field: number, mutation: HeaderMutation): void {
  const since = out.length;
  const { setHeaders, removeHeaders } = mutation;
  out.leaveIf(mutation.$unknown !== undefined);
  for (let at = removeHeaders.length - 1; at >= 0; at--) out.asciiOrEmpty(2, removeHeaders[at] as string);
  for (let at = setHeaders.length - 1; at >= 0; at--) headerValueOption(out, setHeaders[at] as HeaderValueOption);
  out.nested(field, since);
}

function headerValueOption(out: BackwardWriter, option: HeaderValueOption): void {
  const since = out.length;
  const { header, append } = option;
  out.leaveIf(option.$unknown !== undefined);
  out.flag(4, option.keepEmptyValue);
  out.number(3, option.appendAction);
  if (append !== undefined) {
    const sinceAppend = out.length;
    out.flag(1, append);
    out.nested(2, sinceAppend);
  }
  if (header) {
    const sinceHeader = out.length;
    out.leaveIf(header.$unknown !== undefined);
    out.bytes(3, header.rawValue);
    out.ascii(2, header.value);
    out.ascii(1, header.key);
    out.nested(1, sinceHeader);
  }
  out.nested(1, since);
}

function bodyMutation(out: BackwardWriter, body: BodyMutation): void {
  const since = out.length;
  const { mutation } = body;
  out.leaveIf(body.$unknown !== undefined);
  if (mutation.case === "body") out.bytesOrEmpty(1, mutation.value);
  else if (mutation.case === "clearBody") out.flagOrFalse(2, mutation.value);
  else if (mutation.case === "streamedResponse") streamedBodyResponse(out, mutation.value);
  out.nested(3, since);
}

function streamedBodyResponse(out: BackwardWriter, streamed: StreamedBodyResponse): void {
  const since = out.length;
  out.leaveIf(streamed.$unknown !== undefined);
  out.flag(5, streamed.drainComplete);
  out.flag(4, streamed.grpcMessageCompressed);
  out.flag(3, streamed.endOfStreamWithoutMessage);
  out.flag(2, streamed.endOfStream);
  out.bytes(1, streamed.body);
  out.nested(3, since);
}

function immediateResponse(out: BackwardWriter, immediate: ImmediateResponse): void {
  const { status, headers, body, grpcStatus, details } = immediate;
  out.leaveIf(immediate.$unknown !== undefined);
  out.ascii(5, details);
  if (grpcStatus) {
    const since = out.length;
    out.leaveIf(grpcStatus.$unknown !== undefined);
    out.number(1, grpcStatus.status);
    out.nested(4, since);
  }
  out.bytes(3, body);
  if (headers) headerMutation(out, 2, headers);
  if (status) {
    const since = out.length;
    out.leaveIf(status.$unknown !== undefined);
    out.number(1, status.code);
    out.nested(1, since);
  }
}
