import type { Metadata } from "../../gen/envoy/config/core/v3/base_pb.js";
import type {
  HttpBody,
  HttpHeaders,
  HttpTrailers,
  ProcessingRequest,
  ProtocolConfiguration,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { indexHeaderMap } from "./header-index.ts";
import { setHeadersOnDemand, setTrailersOnDemand } from "./lazy-headers.ts";
import { lengthAt, varintBytes } from "./varint.ts";

type Member = ProcessingRequest["request"];

/** Tags of the members of the oneof: a field number with a wire type. */
const MEMBER_TAG = {
  requestHeaders: 0x12,
  responseHeaders: 0x1a,
  requestBody: 0x22,
  responseBody: 0x2a,
  requestTrailers: 0x32,
  responseTrailers: 0x3a,
} as const;
const METADATA_CONTEXT = 0x42;
const OBSERVABILITY_MODE = 0x50;
const PROTOCOL_CONFIG = 0x5a;

/** `HttpHeaders.headers`, `HttpTrailers.trailers`, `HttpBody.body`. */
const FIRST_FIELD = 0x0a;
const HEADERS_END_OF_STREAM = 0x18;
const NO_BYTES = new Uint8Array(0);

/** The name of a member of the oneof. */
type MemberName = keyof typeof MEMBER_TAG;

/** Returns the member that a message has, by the first byte of the message. Undefined for any other byte. */
export function memberByTag(tag: number | undefined): MemberName | undefined {
  switch (tag) {
    case MEMBER_TAG.requestHeaders:
      return "requestHeaders";
    case MEMBER_TAG.responseHeaders:
      return "responseHeaders";
    case MEMBER_TAG.requestBody:
      return "requestBody";
    case MEMBER_TAG.responseBody:
      return "responseBody";
    case MEMBER_TAG.requestTrailers:
      return "requestTrailers";
    case MEMBER_TAG.responseTrailers:
      return "responseTrailers";
    default:
      return undefined;
  }
}

/**
 * Reads a message in the form in which Envoy writes it: first one oneof member in its usual form, then the rest. Its
 * headers are created when they are first read; everything is checked at once. Undefined for any other form, which
 * protobuf-es must read.
 *
 * @param readRest Reads a rest that does not have one of its most frequent forms.
 */
export function readCanonicalRequest(
  bytes: Uint8Array,
  readRest: (rest: Uint8Array) => ProcessingRequest,
): ProcessingRequest | undefined {
  const length = lengthAt(bytes, 1, bytes.length);
  if (length === undefined) return undefined;
  const start = 1 + varintBytes(length);
  const end = start + length;
  if (end > bytes.length) return undefined;
  const member = readMember(bytes, start, end);
  if (member === undefined) return undefined;
  const message = newRequest(member);
  if (end === bytes.length || readShortRest(message, bytes, end)) return message;
  const rest = readRest(bytes.subarray(end));
  if (rest.request.case !== undefined) return undefined;
  rest.request = member;
  return rest;
}

/** Reads the oneof member whose tag is the first byte and whose content is `bytes[start..end)`. */
function readMember(bytes: Uint8Array, start: number, end: number): Member | undefined {
  const name = memberByTag(bytes[0]);
  switch (name) {
    case "requestHeaders":
    case "responseHeaders": {
      const value = readHeaders(bytes, start, end);
      return value && { case: name, value };
    }
    case "requestBody":
    case "responseBody": {
      const value = readBody(bytes, start, end);
      return value && { case: name, value };
    }
    case "requestTrailers":
    case "responseTrailers": {
      const value = readTrailers(bytes, start, end);
      return value && { case: name, value };
    }
    default:
      return undefined;
  }
}

function readHeaders(bytes: Uint8Array, start: number, end: number): HttpHeaders | undefined {
  const behind = behindFirstField(bytes, start, end);
  if (behind === undefined) return undefined;
  const endOfStream = behind < end && bytes[behind + 1] === 1;
  // After the headers there is at most one flag, of 2 bytes.
  if (behind < end && (behind + 2 !== end || bytes[behind] !== HEADERS_END_OF_STREAM || !endOfStream)) return undefined;
  const message: HttpHeaders = {
    $typeName: "envoy.service.ext_proc.v3.HttpHeaders",
    attributes: {},
    endOfStream,
  };
  if (behind === start) return message;
  const index = indexHeaderMap(bytes, contentOfFirstField(bytes, start, end), behind);
  if (index === undefined) return undefined;
  setHeadersOnDemand(message, index);
  return message;
}

function readTrailers(bytes: Uint8Array, start: number, end: number): HttpTrailers | undefined {
  const message: HttpTrailers = { $typeName: "envoy.service.ext_proc.v3.HttpTrailers" };
  if (start === end) return message;
  const behind = behindFirstField(bytes, start, end);
  if (behind !== end) return undefined;
  const index = indexHeaderMap(bytes, contentOfFirstField(bytes, start, end), end);
  if (index === undefined) return undefined;
  setTrailersOnDemand(message, index);
  return message;
}

function readBody(bytes: Uint8Array, start: number, end: number): HttpBody | undefined {
  const behind = behindFirstField(bytes, start, end);
  if (behind === undefined) return undefined;
  const message: HttpBody = {
    $typeName: "envoy.service.ext_proc.v3.HttpBody",
    body: behind === start ? NO_BYTES : bytes.subarray(contentOfFirstField(bytes, start, end), behind),
    endOfStream: false,
    endOfStreamWithoutMessage: false,
    grpcMessageCompressed: false,
    drainComplete: false,
  };
  return readBodyFlags(message, bytes, behind, end) ? message : undefined;
}

/** False if anything follows except flags that are set, each once and in the order of their numbers. */
function readBodyFlags(message: HttpBody, bytes: Uint8Array, start: number, end: number): boolean {
  let lastTag = 0;
  for (let at = start; at < end; at += 2) {
    const tag = bytes[at];
    if (tag === undefined || tag <= lastTag || at + 1 === end || bytes[at + 1] !== 1) return false;
    lastTag = tag;
    switch (tag) {
      case 0x10:
        message.endOfStream = true;
        break;
      case 0x18:
        message.endOfStreamWithoutMessage = true;
        break;
      case 0x20:
        message.grpcMessageCompressed = true;
        break;
      case 0x28:
        message.drainComplete = true;
        break;
      default:
        return false;
    }
  }
  return true;
}

/** Returns the offset after field 1, which contains bytes, or `start` if the field is absent; undefined if it is cut off. */
function behindFirstField(bytes: Uint8Array, start: number, end: number): number | undefined {
  if (start === end || bytes[start] !== FIRST_FIELD) return start;
  const length = lengthAt(bytes, start + 1, end);
  if (length === undefined) return undefined;
  const behind = start + 1 + varintBytes(length) + length;
  return behind > end ? undefined : behind;
}

/** Returns the offset of the content of field 1, which {@link behindFirstField} has found. */
function contentOfFirstField(bytes: Uint8Array, start: number, end: number): number {
  return start + 1 + varintBytes(lengthAt(bytes, start + 1, end) as number);
}

function newRequest(request: Member): ProcessingRequest {
  return {
    $typeName: "envoy.service.ext_proc.v3.ProcessingRequest",
    request,
    attributes: {},
    observabilityMode: false,
  };
}

/**
 * Reads what follows the member in most messages: empty metadata, and the filter's configuration. False for anything
 * else.
 */
function readShortRest(message: ProcessingRequest, bytes: Uint8Array, start: number): boolean {
  let at = start;
  const end = bytes.length;
  if (at + 1 < end && bytes[at] === METADATA_CONTEXT && bytes[at + 1] === 0) {
    message.metadataContext = noMetadata();
    at += 2;
  }
  if (at + 1 < end && bytes[at] === OBSERVABILITY_MODE && bytes[at + 1] === 1) {
    message.observabilityMode = true;
    at += 2;
  }
  if (at + 1 < end && bytes[at] === PROTOCOL_CONFIG) {
    const length = lengthAt(bytes, at + 1, end);
    const config = length !== undefined && at + 2 + length === end ? readProtocolConfig(bytes, at + 2) : undefined;
    if (config === undefined) return false;
    message.protocolConfig = config;
    at = end;
  }
  return at === end;
}

function noMetadata(): Metadata {
  return { $typeName: "envoy.config.core.v3.Metadata", filterMetadata: {}, typedFilterMetadata: {} };
}

/** Reads numbers below 128 in ascending order, up to the end of the bytes; undefined for anything else. */
function readProtocolConfig(bytes: Uint8Array, start: number): ProtocolConfiguration | undefined {
  const config: ProtocolConfiguration = {
    $typeName: "envoy.service.ext_proc.v3.ProtocolConfiguration",
    requestBodyMode: 0,
    responseBodyMode: 0,
    sendBodyWithoutWaitingForHeaderResponse: false,
  };
  let lastTag = 0;
  for (let at = start; at < bytes.length; at += 2) {
    const [tag, value] = [bytes[at], bytes[at + 1]];
    if (tag === undefined || value === undefined || tag <= lastTag || value >= 0x80) return undefined;
    lastTag = tag;
    if (tag === 0x08) config.requestBodyMode = value;
    else if (tag === 0x10) config.responseBodyMode = value;
    else if (tag === 0x18) config.sendBodyWithoutWaitingForHeaderResponse = value !== 0;
    else return undefined;
  }
  return config;
}
