// The requests that every peer gets, and the answers that are right.
import { create, toBinary } from "@bufbuild/protobuf";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * @typedef {import("../../gen/envoy/service/ext_proc/v3/external_processor_pb.js").ProcessingRequest} ProcessingRequest
 * @typedef {import("../../gen/envoy/service/ext_proc/v3/external_processor_pb.js").ProcessingResponse} ProcessingResponse
 * @typedef {"hello" | "three-two" | "chunks-seen" | "chunks-changed"} Task
 */

export const PROCESS_PATH = "/envoy.service.ext_proc.v3.ExternalProcessor/Process";
export const BODY_CHUNKS = 100;
export const BODY_CHUNK_BYTES = 64 * 1024;

const OVERWRITE_IF_EXISTS_OR_ADD = 2;
const STREAMED = 1;
/** What a changed chunk begins with. */
const CHANGED_BYTE = 0x41;
const utf8 = new TextEncoder();

/** What a browser's request looks like behind an ingress gateway: 18 headers, 1,238 bytes as a message. */
const REQUEST_HEADERS = [
  [":authority", "shop.example.com"],
  [":path", "/api/v1/catalogue/products/8472/reviews?page=3&sort=newest&locale=en-GB"],
  [":method", "GET"],
  [":scheme", "https"],
  [
    "user-agent",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
  ],
  ["accept", "application/json, text/plain, */*"],
  ["accept-encoding", "gzip, deflate, br, zstd"],
  ["accept-language", "en-GB,en;q=0.9,de;q=0.8"],
  ["referer", "https://shop.example.com/catalogue/products/8472"],
  [
    "cookie",
    "session=0f8fad5b-d9cb-469f-a165-70867728950e; consent=necessary; cart=3fa85f64; theme=dark; ab=checkout-b",
  ],
  ["x-forwarded-for", "203.0.113.57"],
  ["x-forwarded-proto", "https"],
  ["x-envoy-external-address", "203.0.113.57"],
  ["x-request-id", "7c9e6679-7425-40de-944b-e07fc1f90ae7"],
  ["x-envoy-decorator-operation", "catalogue.shop.svc.cluster.local:8080/*"],
  ["traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"],
  ["sec-fetch-mode", "cors"],
  ["authorization", `Bearer ${"eyJhbGciOiJSUzI1NiJ9".padEnd(284, "Zm9vYmFy")}`],
];

const RESPONSE_HEADERS = [
  [":status", "200"],
  ["content-type", "application/json; charset=utf-8"],
  ["content-length", "1834"],
  ["cache-control", "private, max-age=60"],
  ["date", "Mon, 02 Nov 2026 10:15:30 GMT"],
  ["etag", 'W/"72a-5d1f8b3c"'],
  ["vary", "accept-encoding"],
  ["x-envoy-upstream-service-time", "12"],
];

/** @param {string[][]} entries */
function headerMap(entries) {
  return { headers: entries.map(([key = "", value]) => ({ key, rawValue: utf8.encode(value) })) };
}

/** @param {boolean} endOfStream */
function requestHeaders(endOfStream) {
  const value = { headers: headerMap(REQUEST_HEADERS), endOfStream };
  const protocolConfig = { requestBodyMode: STREAMED, responseBodyMode: STREAMED };
  const request = /** @type {const} */ ({ case: "requestHeaders", value });
  return create(ProcessingRequestSchema, endOfStream ? { request } : { protocolConfig, request });
}

function responseHeaders() {
  const value = { headers: headerMap(RESPONSE_HEADERS), endOfStream: false };
  return create(ProcessingRequestSchema, { request: { case: "responseHeaders", value } });
}

/**
 * @param {"requestBody" | "responseBody"} phase
 * @param {number} bytes
 * @param {boolean} endOfStream
 */
function body(phase, bytes, endOfStream) {
  const value = { body: new Uint8Array(bytes).fill(0x61), endOfStream };
  return create(ProcessingRequestSchema, { request: { case: phase, value } });
}

/**
 * The two messages of a transaction without bodies.
 *
 * @returns {ProcessingRequest[]}
 */
export function headerMessages() {
  return [requestHeaders(true), responseHeaders()];
}

/**
 * The messages of an upload: headers, then 100 chunks of 64 KiB.
 *
 * @returns {ProcessingRequest[]}
 */
export function uploadMessages() {
  const chunks = Array.from({ length: BODY_CHUNKS }, (_, index) =>
    body("requestBody", BODY_CHUNK_BYTES, index === BODY_CHUNKS - 1),
  );
  return [requestHeaders(false), ...chunks];
}

/**
 * A message of every phase. Where trailers follow, no body chunk says `end_of_stream`.
 *
 * @returns {ProcessingRequest[]}
 */
export function everyPhaseMessages() {
  return [
    requestHeaders(false),
    body("requestBody", 1000, false),
    body("requestBody", 70_000, false),
    create(ProcessingRequestSchema, {
      request: { case: "requestTrailers", value: { trailers: headerMap([["checksum", "abc"]]) } },
    }),
    responseHeaders(),
    body("responseBody", 1000, false),
    create(ProcessingRequestSchema, {
      request: { case: "responseTrailers", value: { trailers: headerMap([["grpc-status", "0"]]) } },
    }),
  ];
}

/**
 * The right answers to a stream, one for each message.
 *
 * @param {Task} task
 * @param {readonly ProcessingRequest[]} messages
 * @returns {ProcessingResponse[]}
 */
export function rightAnswers(task, messages) {
  return messages.map(({ request }) => {
    const { case: phase, value: sent } = request;
    if (phase === undefined) throw new Error("a message without a request");
    const setHeaders = changesOf(task, phase).map(setHeader);
    if (phase !== "requestHeaders" && phase !== "responseHeaders") {
      const value = phase === "requestBody" && task === "chunks-changed" ? changedBody(sent) : {};
      return create(ProcessingResponseSchema, { response: { case: phase, value } });
    }
    const value = setHeaders.length === 0 ? {} : { response: { headerMutation: { setHeaders } } };
    return create(ProcessingResponseSchema, { response: { case: phase, value } });
  });
}

/** @param {unknown} sent */
function changedBody(sent) {
  const { body } = /** @type {{ readonly body: Uint8Array }} */ (sent);
  const changed = body.slice();
  changed[0] = CHANGED_BYTE;
  return { response: { bodyMutation: { mutation: { case: /** @type {const} */ ("body"), value: changed } } } };
}

/**
 * @param {Task} task
 * @param {string} phase
 * @returns {string[][]}
 */
function changesOf(task, phase) {
  const headers = Object.fromEntries(REQUEST_HEADERS);
  if (task === "hello" && phase === "requestHeaders") return [["x-ext-proc-header", "hello-to-asm"]];
  if (task === "hello" && phase === "responseHeaders") return [["x-ext-proc-header", "hello-from-asm"]];
  if (task === "three-two" && phase === "requestHeaders") {
    return [
      ["x-seen-path", headers[":path"]],
      ["x-seen-from", `${headers["user-agent"]} ${headers["x-request-id"]}`],
    ];
  }
  return [];
}

/** @param {string[]} change */
function setHeader([key = "", value]) {
  return {
    header: { key, rawValue: utf8.encode(value) },
    append: false,
    appendAction: OVERWRITE_IF_EXISTS_OR_ADD,
  };
}

/**
 * The body of a gRPC request: each message behind its five-byte prefix.
 *
 * @param {readonly ProcessingRequest[]} messages
 * @returns {Buffer}
 */
export function grpcBody(messages) {
  return Buffer.concat(
    messages.flatMap((message) => {
      const bytes = toBinary(ProcessingRequestSchema, message);
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(bytes.length, 1);
      return [prefix, bytes];
    }),
  );
}
