import { create, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

const utf8 = new TextEncoder();

export type HeaderList = readonly (readonly [name: string, value: string])[];

/** The extras of a first message, such as `protocolConfig`. */
type Extras = Omit<MessageInitShape<typeof ProcessingRequestSchema>, "request" | "$typeName">;

export function requestHeaders(headers: HeaderList = [], endOfStream = false, extras: Extras = {}): ProcessingRequest {
  const value = { headers: headerMap(headers), endOfStream };
  return create(ProcessingRequestSchema, { ...extras, request: { case: "requestHeaders", value } });
}

export function responseHeaders(headers: HeaderList = [], endOfStream = false): ProcessingRequest {
  const value = { headers: headerMap(headers), endOfStream };
  return create(ProcessingRequestSchema, { request: { case: "responseHeaders", value } });
}

export function requestBody(body: string | Uint8Array, endOfStream = true): ProcessingRequest {
  return create(ProcessingRequestSchema, {
    request: { case: "requestBody", value: { body: bytes(body), endOfStream } },
  });
}

export function responseBody(body: string | Uint8Array, endOfStream = true): ProcessingRequest {
  return create(ProcessingRequestSchema, {
    request: { case: "responseBody", value: { body: bytes(body), endOfStream } },
  });
}

export function requestTrailers(trailers: HeaderList = []): ProcessingRequest {
  return create(ProcessingRequestSchema, {
    request: { case: "requestTrailers", value: { trailers: headerMap(trailers) } },
  });
}

export function responseTrailers(trailers: HeaderList = []): ProcessingRequest {
  return create(ProcessingRequestSchema, {
    request: { case: "responseTrailers", value: { trailers: headerMap(trailers) } },
  });
}

/** The headers that an answer sets, as text. */
export function headersSet({ response }: ProcessingResponse): Readonly<Record<string, string>> {
  const mutation =
    response.case === "requestHeaders" || response.case === "responseHeaders"
      ? response.value.response?.headerMutation
      : response.case === "requestTrailers" || response.case === "responseTrailers"
        ? response.value.headerMutation
        : undefined;
  const options = mutation?.setHeaders ?? [];
  return Object.fromEntries(options.map(({ header }) => [header?.key, new TextDecoder().decode(header?.rawValue)]));
}

/** Answers as JSON, to compare what came by different ways. */
export function asJson(responses: readonly ProcessingResponse[]): unknown {
  return responses.map((response) => toJson(ProcessingResponseSchema, response));
}

function headerMap(headers: HeaderList) {
  return { headers: headers.map(([key, value]) => ({ key, rawValue: utf8.encode(value) })) };
}

function bytes(body: string | Uint8Array): Uint8Array {
  return typeof body === "string" ? utf8.encode(body) : body;
}
