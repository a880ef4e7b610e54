import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type HeaderValue, HeaderValueSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  type HttpHeaders,
  HttpHeadersSchema,
  type HttpTrailers,
  HttpTrailersSchema,
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { BodyPhase, HeaderPhase, TrailerPhase } from "../protocol/phase.ts";
import { toBytes } from "../wire/header-text.ts";
import { type HeaderRecord, headerLines } from "./header-lines.ts";

/** All fields of a ProcessingRequest except its oneof: `attributes`, `metadataContext`, `protocolConfig`, … */
export type MessageEnvelope = Omit<
  MessageInitShape<typeof ProcessingRequestSchema>,
  "request" | "$typeName" | "$unknown"
>;

/** The other fields of a message with headers or with a piece of a body. */
export interface EndOfStream extends MessageEnvelope {
  /** True if nothing of this direction follows. Default: false. */
  readonly endOfStream?: boolean | undefined;
}

/**
 * Makes headers as a handler gets them, to test a function that reads them.
 *
 * @example
 * ```ts
 * header(httpHeaders({ ":path": "/x", accept: ["text/html", "text/plain"] }), "accept"); // "text/html, text/plain"
 * ```
 * @throws {TypeError} If a value is not text, bytes, or an array of them.
 */
export function httpHeaders(headers: HeaderRecord = {}, endOfStream = false): HttpHeaders {
  return create(HttpHeadersSchema, { headers: { headers: headerValues(headers) }, endOfStream });
}

/** Makes trailers as a handler gets them. Names and values as for {@link httpHeaders}. */
export function httpTrailers(trailers: HeaderRecord = {}): HttpTrailers {
  return create(HttpTrailersSchema, { trailers: { headers: headerValues(trailers) } });
}

/** Makes the message with which Envoy sends request headers: `requestHeaders({ ":method": "GET", ":path": "/x" })`. */
export function requestHeaders(headers: HeaderRecord = {}, more: EndOfStream = {}): ProcessingRequest {
  return headersMessage("requestHeaders", headers, more);
}

/** Makes the message with which Envoy sends a request's body, or a piece of it. Text is sent as UTF-8. */
export function requestBody(body: string | Uint8Array, more: EndOfStream = {}): ProcessingRequest {
  return bodyMessage("requestBody", body, more);
}

/** Makes the message with which Envoy sends a request's trailers. */
export function requestTrailers(trailers: HeaderRecord = {}, more: MessageEnvelope = {}): ProcessingRequest {
  return trailersMessage("requestTrailers", trailers, more);
}

/** Makes the message with which Envoy sends response headers: `responseHeaders({ ":status": "200" })`. */
export function responseHeaders(headers: HeaderRecord = {}, more: EndOfStream = {}): ProcessingRequest {
  return headersMessage("responseHeaders", headers, more);
}

/** Makes the message with which Envoy sends a response's body, or a piece of it. Text is sent as UTF-8. */
export function responseBody(body: string | Uint8Array, more: EndOfStream = {}): ProcessingRequest {
  return bodyMessage("responseBody", body, more);
}

/** Makes the message with which Envoy sends a response's trailers. */
export function responseTrailers(trailers: HeaderRecord = {}, more: MessageEnvelope = {}): ProcessingRequest {
  return trailersMessage("responseTrailers", trailers, more);
}

function headersMessage(phase: HeaderPhase, headers: HeaderRecord, more: EndOfStream): ProcessingRequest {
  const { endOfStream, ...envelope } = more;
  const request = { case: phase, value: httpHeaders(headers, endOfStream) };
  return create(ProcessingRequestSchema, { ...envelope, request });
}

function bodyMessage(phase: BodyPhase, body: string | Uint8Array, more: EndOfStream): ProcessingRequest {
  const { endOfStream = false, ...envelope } = more;
  const request = { case: phase, value: { body: bodyBytes("body", body), endOfStream } };
  return create(ProcessingRequestSchema, { ...envelope, request });
}

function trailersMessage(phase: TrailerPhase, trailers: HeaderRecord, more: MessageEnvelope): ProcessingRequest {
  return create(ProcessingRequestSchema, { ...more, request: { case: phase, value: httpTrailers(trailers) } });
}

/** Values go into `raw_value`, as Envoy sends them. */
function headerValues(headers: HeaderRecord): HeaderValue[] {
  return headerLines("headers", headers).map(([key, value]) =>
    create(HeaderValueSchema, { key, rawValue: toBytes(value) }),
  );
}

/**
 * Returns the bytes of a body.
 *
 * @throws {TypeError} If the value is neither text nor bytes.
 */
export function bodyBytes(where: string, data: string | Uint8Array): Uint8Array {
  if (typeof data === "string" || data instanceof Uint8Array) return toBytes(data);
  throw new TypeError(`${where}: must be a string or a Uint8Array; a value goes under json`);
}
