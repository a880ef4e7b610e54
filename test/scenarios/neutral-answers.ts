import { create } from "@bufbuild/protobuf";
import {
  type HttpBody,
  type ProcessingRequest,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * What lets a message pass as it is. Written apart from src/protocol/answers/neutral-answer.ts, which it is there to check.
 * No answer in observability mode, and none to an unset oneof.
 */
export function neutralAnswers(
  { request, observabilityMode }: ProcessingRequest,
  fullDuplex: { readonly request: boolean; readonly response: boolean },
): readonly ProcessingResponse[] {
  if (observabilityMode || request.case === undefined) return [];
  switch (request.case) {
    case "requestBody":
      return [bodyAnswer("requestBody", request.value, fullDuplex.request)];
    case "responseBody":
      return [bodyAnswer("responseBody", request.value, fullDuplex.response)];
    default:
      return [create(ProcessingResponseSchema, { response: { case: request.case, value: {} } })];
  }
}

function bodyAnswer(
  member: "requestBody" | "responseBody",
  { body, endOfStream }: HttpBody,
  streamed: boolean,
): ProcessingResponse {
  if (!streamed) return create(ProcessingResponseSchema, { response: { case: member, value: {} } });
  const mutation = { case: "streamedResponse", value: { body, endOfStream } } as const;
  return create(ProcessingResponseSchema, {
    response: { case: member, value: { response: { bodyMutation: { mutation } } } },
  });
}
