// What a soak sends: the frames of one ext_proc stream, as Envoy has them, made once.
import { create, toBinary } from "@bufbuild/protobuf";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  ACK,
  END_STREAM,
  frame,
  grpcMessage,
  headers,
  PREFACE,
  rstStream,
  SETTINGS_ACK,
  settings,
  TYPE,
} from "./frames.mjs";

const INTERNAL_ERROR = 2;
const INITIAL_WINDOW_SIZE = 4;

const utf8 = new TextEncoder();

const REQUEST_HEADERS = [
  [":authority", "shop.example.com"],
  [":path", "/api/v1/catalogue/products/8472/reviews?page=3&sort=newest"],
  [":method", "GET"],
  [":scheme", "https"],
  [
    "user-agent",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/128.0.0.0 Safari/537.36",
  ],
  ["accept", "application/json"],
  ["accept-language", "en-GB,en;q=0.9"],
  ["x-forwarded-for", "203.0.113.7"],
  ["x-request-id", "6f1c2d0e-9a52-4f3c-8d9b-0c1f6a2b7e55"],
  ["cookie", `session=${"s".repeat(160)}`],
];

/** The message with a request's headers: its bytes stay with an idle stream. */
export const REQUEST_MESSAGE = message("requestHeaders", REQUEST_HEADERS);
const RESPONSE_MESSAGE = message("responseHeaders", [
  [":status", "200"],
  ["content-type", "application/json"],
]);

/** @type {readonly (readonly [string, string])[]} */
export const CALL = [
  [":method", "POST"],
  [":scheme", "http"],
  [":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"],
  [":authority", "outbound|9002||ext-proc"],
  ["content-type", "application/grpc"],
  ["te", "trailers"],
];

/** Frames of a stream, with identifier 0, which {@link withId} replaces. */
export const OPEN = Buffer.concat([headers(0, CALL), data(0, REQUEST_MESSAGE)]);
export const RESPONSE = data(0, RESPONSE_MESSAGE);
export const HALF_CLOSE = frame(TYPE.data, { flags: END_STREAM });
/** How Envoy ends a stream that it needs no more. */
export const RESET = rstStream(0, INTERNAL_ERROR);

/** Preface, SETTINGS with large windows, and the acknowledgement of the server's. */
export const HANDSHAKE = Buffer.concat([PREFACE, settings({ [INITIAL_WINDOW_SIZE]: 0x7fff_ffff }), SETTINGS_ACK]);

/**
 * The answer to a PING.
 *
 * @param {Buffer} payload
 */
export function pong(payload) {
  return frame(TYPE.ping, { flags: ACK, payload });
}

/**
 * A copy of frames with this stream's identifier.
 *
 * @param {Buffer} frames
 * @param {number} id
 */
export function withId(frames, id) {
  const copy = Buffer.from(frames);
  for (let at = 0; at < copy.length; at += 9 + copy.readUIntBE(at, 3)) copy.writeUInt32BE(id, at + 5);
  return copy;
}

/**
 * @param {"requestHeaders" | "responseHeaders"} phase
 * @param {string[][]} headers
 */
function message(phase, headers) {
  const list = headers.map(([key, value]) => ({ key: key ?? "", rawValue: utf8.encode(value) }));
  const value = { headers: { headers: list }, endOfStream: true };
  return toBinary(ProcessingRequestSchema, create(ProcessingRequestSchema, { request: { case: phase, value } }));
}

/**
 * @param {number} id
 * @param {Uint8Array} bytes
 */
function data(id, bytes) {
  return frame(TYPE.data, { id, payload: grpcMessage(bytes) });
}
