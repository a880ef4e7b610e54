import { toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { sharedBytes } from "../protocol/answers/shared-answers.ts";
import { answerSize } from "../protocol/wire/answer-size.ts";
import { writeAnswerBytes } from "../protocol/wire/write-answer-bytes.ts";
import { type GrpcReply, writePrefix } from "./reply.ts";

/** Sends an answer. Nearly all are written directly into the output; protobuf-es encodes the others. */
export function sendAnswer(reply: GrpcReply, answer: ProcessingResponse): boolean {
  const bytes = sharedBytes(answer);
  if (bytes) return reply.send(bytes);
  const size = answerSize(answer);
  if (size === undefined) return reply.send(toBinary(ProcessingResponseSchema, answer));
  return reply.sendFilled(size, (target, at) => {
    writeAnswerBytes(answer, target, writePrefix(target, at, size) + size);
  });
}
