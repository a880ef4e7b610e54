// What the Node peers answer, with protobuf-es and without a line of the product: they are what an author would
// write without it.
import { create } from "@bufbuild/protobuf";
import { ProcessingResponseSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * @typedef {import("../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js").ProcessingRequest} ProcessingRequest
 * @typedef {import("../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js").ProcessingResponse} ProcessingResponse
 * @typedef {import("../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js").HttpHeaders} HttpHeaders
 * @typedef {(message: ProcessingRequest) => ProcessingResponse} Answer
 */

const OVERWRITE_IF_EXISTS_OR_ADD = 2;
const utf8 = new TextEncoder();
const decoder = new TextDecoder();

/**
 * The task that the bench names in the first argument: `hello` sets one header in each direction, `three-two` reads
 * three request headers and sets two.
 *
 * @param {string | undefined} task
 * @returns {Answer}
 */
export function answerOf(task) {
  return task === "three-two" ? threeTwo : hello;
}

/** @type {Answer} */
function hello({ request }) {
  switch (request.case) {
    case "requestHeaders":
      return changing("requestHeaders", [["x-ext-proc-header", "hello-to-asm"]]);
    case "responseHeaders":
      return changing("responseHeaders", [["x-ext-proc-header", "hello-from-asm"]]);
    default:
      return neutral(request.case);
  }
}

/** @type {Answer} */
function threeTwo({ request }) {
  if (request.case !== "requestHeaders") return neutral(request.case);
  const headers = request.value;
  return changing("requestHeaders", [
    ["x-seen-path", read(headers, ":path")],
    ["x-seen-from", `${read(headers, "user-agent")} ${read(headers, "x-request-id")}`],
  ]);
}

/**
 * @param {ProcessingRequest["request"]["case"]} phase
 * @returns {ProcessingResponse}
 */
function neutral(phase) {
  if (phase === undefined) throw new Error("a message without a request");
  return create(ProcessingResponseSchema, { response: { case: phase, value: {} } });
}

/**
 * @param {HttpHeaders} headers
 * @param {string} name
 */
function read(headers, name) {
  return decoder.decode(headers.headers?.headers.find(({ key }) => key === name)?.rawValue);
}

/**
 * @param {"requestHeaders" | "responseHeaders"} phase
 * @param {[string, string][]} changes
 */
function changing(phase, changes) {
  const setHeaders = changes.map(([key, value]) => ({
    header: { key, rawValue: utf8.encode(value) },
    append: false,
    appendAction: OVERWRITE_IF_EXISTS_OR_ADD,
  }));
  return create(ProcessingResponseSchema, {
    response: { case: phase, value: { response: { headerMutation: { setHeaders } } } },
  });
}
