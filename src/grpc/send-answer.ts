import { toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { sharedBytes } from "../wire/answer-cache.ts";
import { answerSize } from "../wire/answer-size.ts";
import { writeAnswerBytes } from "../wire/encode-answer.ts";
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
