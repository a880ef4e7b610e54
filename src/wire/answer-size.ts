import type { HeaderValueOption } from "../../gen/envoy/config/core/v3/base_pb.js";
import type {
  BodyMutation,
  CommonResponse,
  HeaderMutation,
  ImmediateResponse,
  ProcessingResponse,
  StreamedBodyResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { isWritableLength, varintBytes } from "./varint.ts";

/** Longer than any message: the size of a message that this file cannot encode. */
const NEVER = 2 ** 29;
/** A flag that is set: a tag and a value. */
const FLAG_BYTES = 2;

/**
 * Returns the number of bytes that `writeAnswerBytes` writes for an answer. Undefined if protobuf-es must write the
 * answer: `writeAnswerBytes` knows header changes, bodies and immediate responses, but no other members or unknown
 * fields.
 */
export function answerSize(answer: ProcessingResponse): number | undefined {
  const size = hasMore(answer) ? NEVER : memberSize(answer);
  return isWritableLength(size) ? size : undefined;
}

function hasMore(answer: ProcessingResponse): boolean {
  if (answer.dynamicMetadata || answer.modeOverride || answer.overrideMessageTimeout || answer.serverWindowUpdate)
    return true;
  if (answer.requestDrain || answer.requestDrainRequests || answer.requestDrainResponses) return true;
  for (const _namespace in answer.typedDynamicMetadata) return true;
  return answer.$unknown !== undefined;
}

function memberSize({ response }: ProcessingResponse): number {
  switch (response.case) {
    case "requestHeaders":
    case "responseHeaders":
    case "requestBody":
    case "responseBody": {
      const { value } = response;
      if (value.$unknown) return NEVER;
      return fieldSize(value.response ? fieldSize(commonSize(value.response)) : 0);
    }
    case "requestTrailers":
    case "responseTrailers": {
      const { value } = response;
      if (value.$unknown) return NEVER;
      return fieldSize(value.headerMutation ? fieldSize(mutationSize(value.headerMutation)) : 0);
    }
    case "immediateResponse":
      return fieldSize(immediateSize(response.value));
    default:
      return NEVER;
  }
}

function commonSize(common: CommonResponse): number {
  if (common.trailers || common.$unknown) return NEVER;
  let size = numberSize(common.status) + flagSize(common.clearRouteCache);
  if (common.headerMutation) size += fieldSize(mutationSize(common.headerMutation));
  if (common.bodyMutation) size += fieldSize(bodyMutationSize(common.bodyMutation));
  return size;
}

/** Returns the size of a `HeaderMutation`'s content. */
function mutationSize({ setHeaders, removeHeaders, $unknown }: HeaderMutation): number {
  if ($unknown) return NEVER;
  let size = 0;
  for (const option of setHeaders) size += fieldSize(optionSize(option));
  for (const name of removeHeaders) size += fieldSize(asciiSize(name));
  return size;
}

function optionSize(option: HeaderValueOption): number {
  const { header, append } = option;
  if (option.$unknown) return NEVER;
  let size = numberSize(option.appendAction) + flagSize(option.keepEmptyValue);
  // A message with one flag.
  if (append !== undefined) size += FLAG_BYTES + flagSize(append);
  if (header === undefined) return size;
  if (header.$unknown) return NEVER;
  return size + fieldSize(textSize(header.key) + textSize(header.value) + bytesSize(header.rawValue));
}

/** Returns the size of a `BodyMutation`'s content. A member of a oneof is written even if its value is zero. */
function bodyMutationSize({ mutation, $unknown }: BodyMutation): number {
  if ($unknown) return NEVER;
  switch (mutation.case) {
    case "body":
      return fieldSize(mutation.value.length);
    case "clearBody":
      return FLAG_BYTES;
    case "streamedResponse":
      return fieldSize(streamedSize(mutation.value));
    default:
      return 0;
  }
}

function streamedSize(streamed: StreamedBodyResponse): number {
  if (streamed.$unknown) return NEVER;
  const { endOfStream, endOfStreamWithoutMessage, grpcMessageCompressed, drainComplete } = streamed;
  return (
    bytesSize(streamed.body) +
    flagSize(endOfStream) +
    flagSize(endOfStreamWithoutMessage) +
    flagSize(grpcMessageCompressed) +
    flagSize(drainComplete)
  );
}

function immediateSize(immediate: ImmediateResponse): number {
  const { status, headers, grpcStatus, body, details } = immediate;
  if (immediate.$unknown || status?.$unknown || grpcStatus?.$unknown) return NEVER;
  let size = bytesSize(body) + textSize(details);
  if (status) size += fieldSize(numberSize(status.code));
  if (headers) size += fieldSize(mutationSize(headers));
  if (grpcStatus) size += fieldSize(numberSize(grpcStatus.status));
  return size;
}

/** Returns the size of a length-delimited field. All tags have one byte. */
function fieldSize(size: number): number {
  return 1 + varintBytes(size) + size;
}

function bytesSize(bytes: Uint8Array): number {
  return bytes.length === 0 ? 0 : fieldSize(bytes.length);
}

function textSize(text: string): number {
  return text === "" ? 0 : fieldSize(asciiSize(text));
}

function asciiSize(text: string): number {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) >= 0x80) return NEVER;
  return text.length;
}

function flagSize(flag: boolean): number {
  return flag ? FLAG_BYTES : 0;
}

function numberSize(value: number): number {
  if (value === 0) return 0;
  return Number.isInteger(value) && value > 0 && isWritableLength(value) ? 1 + varintBytes(value) : NEVER;
}
