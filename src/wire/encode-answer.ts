import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/base_pb.js";
import type {
  BodyMutation,
  CommonResponse,
  HeaderMutation,
  ImmediateResponse,
  ProcessingResponse,
  StreamedBodyResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { BackwardWriter } from "./backward-writer.ts";

/** Tags of the members of `ProcessingResponse.response` that are written here. */
const MEMBER_TAGS = {
  requestHeaders: 0x0a,
  responseHeaders: 0x12,
  requestBody: 0x1a,
  responseBody: 0x22,
  requestTrailers: 0x2a,
  responseTrailers: 0x32,
} as const;
const IMMEDIATE_RESPONSE_TAG = 0x3a;

/** Writes an answer whose size `answerSize` knows, so that it ends at `end`. */
export function writeAnswerBytes({ response }: ProcessingResponse, target: Uint8Array, end: number): void {
  const writer = new BackwardWriter(target, end);
  switch (response.case) {
    case "requestHeaders":
    case "responseHeaders":
    case "requestBody":
    case "responseBody":
      if (response.value.response) writeCommon(writer, response.value.response);
      writer.head(MEMBER_TAGS[response.case], end);
      break;
    case "requestTrailers":
    case "responseTrailers":
      if (response.value.headerMutation) writeMutation(writer, 0x0a, response.value.headerMutation);
      writer.head(MEMBER_TAGS[response.case], end);
      break;
    case "immediateResponse":
      writeImmediate(writer, response.value);
      writer.head(IMMEDIATE_RESPONSE_TAG, end);
      break;
    default:
      throw new TypeError(`answerSize does not know the size of ${response.case}`);
  }
}

function writeCommon(writer: BackwardWriter, common: CommonResponse): void {
  const end = writer.at;
  writer.flag(0x28, common.clearRouteCache);
  if (common.bodyMutation) writeBodyMutation(writer, common.bodyMutation);
  if (common.headerMutation) writeMutation(writer, 0x12, common.headerMutation);
  writer.number(0x08, common.status);
  writer.head(0x0a, end);
}

function writeMutation(writer: BackwardWriter, tag: number, { setHeaders, removeHeaders }: HeaderMutation): void {
  const end = writer.at;
  for (let index = removeHeaders.length - 1; index >= 0; index--) {
    const nameEnd = writer.at;
    const name = removeHeaders[index];
    if (name !== undefined) writer.asciiContent(name);
    writer.head(0x12, nameEnd);
  }
  for (let index = setHeaders.length - 1; index >= 0; index--) {
    const option = setHeaders[index];
    if (option) writeOption(writer, option);
  }
  writer.head(tag, end);
}

function writeOption(writer: BackwardWriter, option: HeaderValueOption): void {
  const { header, append } = option;
  const end = writer.at;
  writer.flag(0x20, option.keepEmptyValue);
  writer.number(0x18, option.appendAction);
  if (append !== undefined) {
    const appendEnd = writer.at;
    writer.flag(0x08, append);
    writer.head(0x12, appendEnd);
  }
  if (header) {
    const headerEnd = writer.at;
    writer.bytes(0x1a, header.rawValue);
    writer.ascii(0x12, header.value);
    writer.ascii(0x0a, header.key);
    writer.head(0x0a, headerEnd);
  }
  writer.head(0x0a, end);
}

function writeBodyMutation(writer: BackwardWriter, { mutation }: BodyMutation): void {
  const end = writer.at;
  if (mutation.case === "clearBody") {
    writer.flagOrZero(0x10, mutation.value);
  } else if (mutation.case === "body") {
    writer.content(mutation.value);
    writer.head(0x0a, end);
  } else if (mutation.case === "streamedResponse") {
    writeStreamed(writer, mutation.value);
    writer.head(0x1a, end);
  }
  writer.head(0x1a, end);
}

function writeStreamed(writer: BackwardWriter, streamed: StreamedBodyResponse): void {
  writer.flag(0x28, streamed.drainComplete);
  writer.flag(0x20, streamed.grpcMessageCompressed);
  writer.flag(0x18, streamed.endOfStreamWithoutMessage);
  writer.flag(0x10, streamed.endOfStream);
  writer.bytes(0x0a, streamed.body);
}

function writeImmediate(writer: BackwardWriter, immediate: ImmediateResponse): void {
  const { status, headers, body, grpcStatus, details } = immediate;
  writer.ascii(0x2a, details);
  if (grpcStatus) {
    const end = writer.at;
    writer.number(0x08, grpcStatus.status);
    writer.head(0x22, end);
  }
  writer.bytes(0x1a, body);
  if (headers) writeMutation(writer, 0x12, headers);
  if (status) {
    const end = writer.at;
    writer.number(0x08, status.code);
    writer.head(0x0a, end);
  }
}
