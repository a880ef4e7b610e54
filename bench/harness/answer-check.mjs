// Whether a peer answers exactly what the task says. One that does less would be faster.
import { equals, fromBinary, toJsonString } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { call, openSession } from "./grpc-call.mjs";
import { everyPhaseMessages, grpcBody, headerMessages, rightAnswers, uploadMessages } from "./messages.mjs";

/**
 * @typedef {import("./messages.mjs").ProcessingResponse} ProcessingResponse
 *
 * @typedef {object} AnswerSizes How many DATA bytes a right answer has, as this peer encodes it.
 * @property {number} headers
 * @property {number} upload
 */

/**
 * Sends what the scenarios send, and a stream with every phase.
 *
 * @param {string} address
 * @param {import("./messages.mjs").Task} task
 * @param {{ readonly headersOnly?: boolean }} options
 * @returns {Promise<AnswerSizes>}
 * @throws {Error} Where an answer differs, with the first difference.
 */
export async function checkAnswers(address, task, { headersOnly = false } = {}) {
  const session = openSession(address);
  try {
    const sizes = [];
    const streams = headersOnly ? [headerMessages()] : [headerMessages(), uploadMessages(), everyPhaseMessages()];
    for (const messages of streams) {
      const bytes = await call(session, grpcBody(messages));
      const problem = firstDifference(splitAnswers(bytes), rightAnswers(task, messages));
      if (problem !== undefined) throw new Error(problem);
      sizes.push(bytes.length);
    }
    const [headers = 0, upload = 0] = sizes;
    return { headers, upload };
  } finally {
    session.destroy();
  }
}

/**
 * @param {readonly ProcessingResponse[]} given
 * @param {readonly ProcessingResponse[]} right
 * @returns {string | undefined}
 */
export function firstDifference(given, right) {
  if (given.length !== right.length) return `${given.length} answers instead of ${right.length}`;
  for (const [index, wanted] of right.entries()) {
    const answer = given[index];
    if (answer !== undefined && equals(ProcessingResponseSchema, answer, wanted)) continue;
    const [is, should] = [answer, wanted].map((message) => message && toJsonString(ProcessingResponseSchema, message));
    return `answer ${index + 1} is ${is} and should be ${should}`;
  }
  return undefined;
}

/**
 * The messages of a gRPC response body.
 *
 * @param {Buffer} bytes
 * @returns {ProcessingResponse[]}
 */
export function splitAnswers(bytes) {
  const answers = [];
  for (let start = 0; start < bytes.length; ) {
    if (bytes[start] !== 0) throw new Error("a compressed answer, which was not requested");
    const end = start + 5 + bytes.readUInt32BE(start + 1);
    answers.push(fromBinary(ProcessingResponseSchema, bytes.subarray(start + 5, end)));
    start = end;
  }
  return answers;
}
