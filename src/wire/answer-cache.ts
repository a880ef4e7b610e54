import { toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

const shared = new WeakMap<ProcessingResponse, Uint8Array>();

/** Keeps the bytes of an answer that many streams use and that does not change any more. */
export function shareAnswer(answer: ProcessingResponse): void {
  shared.set(answer, toBinary(ProcessingResponseSchema, answer));
}

/** Returns the bytes of a shared answer; undefined for any other answer. */
export function sharedBytes(answer: ProcessingResponse): Uint8Array | undefined {
  return shared.get(answer);
}
