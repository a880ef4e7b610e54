import { toBinary } from "@bufbuild/protobuf";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { neutralAnswer } from "../protocol/neutral-answer.ts";
import { PHASES } from "../protocol/phase.ts";

/** The answers that are the same every time, and most frequent: one for each chunk of a body that passes. */
const NEUTRAL: ReadonlyMap<ProcessingResponse, Uint8Array> = new Map(
  PHASES.flatMap(neutralAnswer).map((answer) => [answer, toBinary(ProcessingResponseSchema, answer)]),
);

/** An answer as bytes. */
export function encodeAnswer(answer: ProcessingResponse): Uint8Array {
  return NEUTRAL.get(answer) ?? toBinary(ProcessingResponseSchema, answer);
}
