import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { type HeaderValue, HeaderValueSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import {
  type HttpHeaders,
  HttpHeadersSchema,
  type HttpTrailers,
  HttpTrailersSchema,
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { BodyMode } from "../../src/protocol/body-mode.ts";
import type { BodyPhase, HeaderPhase, Phase, PhaseMessage, TrailerPhase } from "../../src/protocol/phase.ts";

/** Headers as Envoy sends them, in order: text becomes UTF-8 in `raw_value`. */
export type HeaderPairs = readonly (readonly [name: string, value: string | Uint8Array])[];

/** Everything of a ProcessingRequest besides its oneof. */
export type Envelope = Omit<MessageInitShape<typeof ProcessingRequestSchema>, "request" | "$typeName" | "$unknown">;

export interface BodyFlags {
  readonly endOfStream?: boolean;
  readonly endOfStreamWithoutMessage?: boolean;
  readonly grpcMessageCompressed?: boolean;
}

export function bytes(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new TextEncoder().encode(text));
}

export function headerEntry(key: string, value: string | Uint8Array): HeaderValue {
  return create(HeaderValueSchema, { key, rawValue: typeof value === "string" ? bytes(value) : value });
}

export function httpHeaders(pairs: HeaderPairs, endOfStream = false): HttpHeaders {
  return create(HttpHeadersSchema, { headers: { headers: pairs.map(([k, v]) => headerEntry(k, v)) }, endOfStream });
}

export function httpTrailers(pairs: HeaderPairs): HttpTrailers {
  return create(HttpTrailersSchema, { trailers: { headers: pairs.map(([k, v]) => headerEntry(k, v)) } });
}

export function headersOf(
  phase: HeaderPhase,
  pairs: HeaderPairs = [],
  { endOfStream = false, ...envelope }: Envelope & { readonly endOfStream?: boolean } = {},
): ProcessingRequest {
  return create(ProcessingRequestSchema, {
    ...envelope,
    request: { case: phase, value: httpHeaders(pairs, endOfStream) },
  });
}

export function bodyOf(
  phase: BodyPhase,
  body: string | Uint8Array,
  flags: BodyFlags = {},
  envelope: Envelope = {},
): ProcessingRequest {
  const data = typeof body === "string" ? bytes(body) : body;
  return create(ProcessingRequestSchema, { ...envelope, request: { case: phase, value: { body: data, ...flags } } });
}

export function trailersOf(phase: TrailerPhase, pairs: HeaderPairs = [], envelope: Envelope = {}): ProcessingRequest {
  return create(ProcessingRequestSchema, { ...envelope, request: { case: phase, value: httpTrailers(pairs) } });
}

/** The simplest message of a phase; a body has the bytes of "body". */
export function plainMessage(phase: Phase, envelope: Envelope = {}): ProcessingRequest {
  switch (phase) {
    case "requestHeaders":
    case "responseHeaders":
      return headersOf(phase, [], envelope);
    case "requestBody":
    case "responseBody":
      return bodyOf(phase, "body", {}, envelope);
    default:
      return trailersOf(phase, [], envelope);
  }
}

/** The `protocol_config` of a stream whose directions have these modes, or one mode for both. */
export function bodyModes(request: BodyMode, response: BodyMode = request): Envelope {
  return {
    protocolConfig: {
      requestBodyMode: ProcessingMode_BodySendMode[request],
      responseBodyMode: ProcessingMode_BodySendMode[response],
    },
  };
}

/** The oneof of a message that has one. */
export function oneofOf(message: ProcessingRequest): PhaseMessage {
  if (message.request.case === undefined) throw new Error("the message has no oneof member");
  return message.request;
}
