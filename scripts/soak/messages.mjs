// What a soak sends: the frames of one ext_proc stream, as Envoy has them, made once.
import { create, toBinary } from "@bufbuild/protobuf";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

const END_HEADERS = 4;
const END_STREAM = 1;
const INTERNAL_ERROR = 2;
/** Frame types of RFC 9113 section 6. */
const TYPE = { data: 0, headers: 1, rstStream: 3, settings: 4, ping: 6, windowUpdate: 8 };

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

const CALL = Buffer.concat(
  [
    [":method", "POST"],
    [":scheme", "http"],
    [":path", "/envoy.service.ext_proc.v3.ExternalProcessor/Process"],
    [":authority", "outbound|9002||ext-proc"],
    ["content-type", "application/grpc"],
    ["te", "trailers"],
  ].map(([name, value]) => Buffer.concat([Buffer.of(0), hpackText(name), hpackText(value)])),
);

/** Frames of a stream, with identifier 0, which {@link withId} replaces. */
export const OPEN = Buffer.concat([
  frame(TYPE.headers, END_HEADERS, CALL),
  frame(TYPE.data, 0, grpcFrame(REQUEST_MESSAGE)),
]);
export const RESPONSE = frame(TYPE.data, 0, grpcFrame(RESPONSE_MESSAGE));
export const HALF_CLOSE = frame(TYPE.data, END_STREAM, Buffer.alloc(0));
/** How Envoy ends a stream that it needs no more. */
export const RESET = frame(TYPE.rstStream, 0, Buffer.of(0, 0, 0, INTERNAL_ERROR));

/** Preface, SETTINGS with large windows, and the acknowledgement of the server's. */
export const HANDSHAKE = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(TYPE.settings, 0, Buffer.of(0, 4, 0x7f, 0xff, 0xff, 0xff)),
  frame(TYPE.settings, 1, Buffer.alloc(0)),
]);

/** @param {number} bytes Credit for the connection's window. */
export function windowUpdate(bytes) {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return frame(TYPE.windowUpdate, 0, payload);
}

/**
 * The answer to a PING.
 *
 * @param {Buffer} payload
 */
export function pong(payload) {
  return frame(TYPE.ping, 1, payload);
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

/** @param {Uint8Array} bytes */
function grpcFrame(bytes) {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([prefix, bytes]);
}

/**
 * @param {number} type
 * @param {number} flags
 * @param {Uint8Array} payload
 */
function frame(type, flags, payload) {
  const header = Buffer.alloc(9);
  header.writeUIntBE(payload.length, 0, 3);
  header[3] = type;
  header[4] = flags;
  return Buffer.concat([header, payload]);
}

/** @param {string | undefined} text At most 126 bytes. */
function hpackText(text = "") {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text, "latin1")]);
}
