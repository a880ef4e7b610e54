import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type HttpBody,
  type ProcessingResponse,
  ProcessingResponseSchema,
  type StreamedBodyResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { cacheBytes } from "../../wire/answer-cache.ts";
import { type BodyMode, returnsBody } from "../body-mode.ts";
import type { BodyPhase, Phase } from "../phase.ts";

/**
 * The largest piece in which a full-duplex body is sent back. Envoy's own chunks have up to 1 MiB. Other data planes
 * limit a whole answer to 128 KiB.
 */
export const MAX_STREAMED_CHUNK_BYTES = 64 * 1024;

// A neutral answer contains nothing of its message, so all streams share one object per phase.
const NEUTRAL: Readonly<Record<Phase, readonly ProcessingResponse[]>> = {
  requestHeaders: [create(ProcessingResponseSchema, { response: { case: "requestHeaders", value: {} } })],
  requestBody: [create(ProcessingResponseSchema, { response: { case: "requestBody", value: {} } })],
  requestTrailers: [create(ProcessingResponseSchema, { response: { case: "requestTrailers", value: {} } })],
  responseHeaders: [create(ProcessingResponseSchema, { response: { case: "responseHeaders", value: {} } })],
  responseBody: [create(ProcessingResponseSchema, { response: { case: "responseBody", value: {} } })],
  responseTrailers: [create(ProcessingResponseSchema, { response: { case: "responseTrailers", value: {} } })],
};

for (const [answer] of Object.values(NEUTRAL)) if (answer) cacheBytes(answer);

/**
 * Returns the answer that changes nothing: the oneof member of the phase, with an empty payload. A ProcessingResponse
 * without a member would be a protocol error. The messages are shared: do not change them.
 */
export function neutralAnswer(phase: Phase): readonly ProcessingResponse[] {
  return NEUTRAL[phase];
}

/**
 * Returns the answers that let a piece of a body pass. In FULL_DUPLEX_STREAMED and GRPC Envoy keeps no copy, so the
 * bytes are sent back as `streamed_response`; in FULL_DUPLEX_STREAMED in pieces of at most 64 KiB. In every other mode
 * one empty answer is enough.
 */
export function neutralBodyAnswers(
  phase: BodyPhase,
  body: HttpBody,
  mode: BodyMode | undefined,
): readonly ProcessingResponse[] {
  if (!returnsBody(mode)) return NEUTRAL[phase];
  // In GRPC mode a message of the body is one gRPC message, which must not be cut.
  if (mode === "GRPC") {
    const { endOfStreamWithoutMessage, grpcMessageCompressed } = body;
    return [
      streamedBody(phase, {
        body: body.body,
        endOfStream: body.endOfStream,
        endOfStreamWithoutMessage,
        grpcMessageCompressed,
      }),
    ];
  }
  return streamedChunks(phase, body);
}

function streamedChunks(phase: BodyPhase, { body, endOfStream }: HttpBody): readonly ProcessingResponse[] {
  const answers: ProcessingResponse[] = [];
  let start = 0;
  // At least one piece, because an empty chunk may carry the end of the stream.
  do {
    const end = Math.min(start + MAX_STREAMED_CHUNK_BYTES, body.length);
    answers.push(
      streamedBody(phase, { body: body.subarray(start, end), endOfStream: endOfStream && end === body.length }),
    );
    start = end;
  } while (start < body.length);
  return answers;
}

/** Makes one piece of a full-duplex body. */
export function streamedBody(
  phase: BodyPhase,
  streamedResponse: MessageInitShape<typeof StreamedBodyResponseSchema>,
): ProcessingResponse {
  const mutation = { case: "streamedResponse" as const, value: streamedResponse };
  return create(ProcessingResponseSchema, {
    response: { case: phase, value: { response: { bodyMutation: { mutation } } } },
  });
}
