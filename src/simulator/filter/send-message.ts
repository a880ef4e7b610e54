import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  ProtocolConfigurationSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderMap } from "../http/header-map.ts";
import { bodyModeNumber } from "../settings/processing-mode.ts";
import type { CallbackState, FilterDirection } from "./direction-state.ts";
import type { FilterState } from "./filter-state.ts";

/** The key under which attributes are sent. */
const ATTRIBUTES_KEY = "envoy.filters.http.ext_proc";

type RequestMember = ProcessingRequest["request"];

/** Sends the headers of a direction. In observability mode Envoy does not wait for an answer. */
export function sendHeaders(filter: FilterState, state: FilterDirection, endOfStream: boolean): void {
  if (state.headers === undefined) return;
  const value = { headers: forwarded(filter, state.headers), endOfStream };
  const member = state.direction === "request" ? "requestHeaders" : "responseHeaders";
  if (!filter.config.observabilityMode) startCall(filter, state, "headers");
  send(filter, state, create(ProcessingRequestSchema, { request: { case: member, value } }).request);
}

/** Sends a piece of a body. `waitsFor` is the answer that Envoy then waits for. */
export function sendBody(
  filter: FilterState,
  state: FilterDirection,
  chunk: { readonly bytes: Uint8Array; readonly endStream: boolean; readonly waitsFor?: CallbackState },
): void {
  const value = { body: chunk.bytes, endOfStream: chunk.endStream };
  const member = state.direction === "request" ? "requestBody" : "responseBody";
  state.bodySent = true;
  if (chunk.waitsFor !== undefined) startCall(filter, state, chunk.waitsFor);
  send(filter, state, create(ProcessingRequestSchema, { request: { case: member, value } }).request);
}

/** Sends the trailers of a direction, once. */
export function sendTrailers(filter: FilterState, state: FilterDirection, trailers: HeaderMap): void {
  if (state.trailersSent) return;
  state.trailersSent = true;
  const value = { trailers: forwarded(filter, trailers) };
  const member = state.direction === "request" ? "requestTrailers" : "responseTrailers";
  if (!filter.config.observabilityMode) {
    // In FULL_DUPLEX_STREAMED the answers to headers or body can still be outstanding.
    startCall(filter, state, state.waitsFor === "idle" ? "trailers" : state.waitsFor);
  }
  send(filter, state, create(ProcessingRequestSchema, { request: { case: member, value } }).request);
}

/** Starts to wait for an answer, and starts the timer. In FULL_DUPLEX_STREAMED there is no timer. */
function startCall(filter: FilterState, state: FilterDirection, waitsFor: CallbackState): void {
  state.waitsFor = waitsFor;
  if (state.mode.body !== "FULL_DUPLEX_STREAMED") state.timer.start(filter.config.messageTimeoutMs);
}

function send(filter: FilterState, state: FilterDirection, request: RequestMember): void {
  const { config } = filter;
  const attributes = takeAttributes(filter, state);
  const message = create(ProcessingRequestSchema, {
    request,
    metadataContext: filter.metadata.forwarded(config.forwardingNamespaces),
    observabilityMode: config.observabilityMode,
    ...(attributes && { attributes: { [ATTRIBUTES_KEY]: attributes } }),
    ...takeProtocolConfig(filter),
  });
  filter.counters.stream_msgs_sent++;
  filter.stream?.send(message);
}

function forwarded(filter: FilterState, headers: HeaderMap): { headers: { key: string; rawValue: Uint8Array }[] } {
  const list: { key: string; rawValue: Uint8Array }[] = [];
  for (const [key, rawValue] of headers.entries) if (filter.config.forwards(key)) list.push({ key, rawValue });
  return { headers: list };
}

/** Attributes go with the first message of their direction. Names without a value are left out. */
function takeAttributes(filter: FilterState, state: FilterDirection): JsonObject | undefined {
  const { requestAttributes = [], responseAttributes = [] } = filter.config.settings;
  const names = state.direction === "request" ? requestAttributes : responseAttributes;
  if (state.attributesSent || names.length === 0) return undefined;
  state.attributesSent = true;
  const attributes: JsonObject = {};
  for (const name of names) {
    const value = filter.callbacks.attribute(name);
    if (value !== undefined) attributes[name] = value as JsonValue;
  }
  return attributes;
}

/** The first message of a stream says which body modes are in force. */
function takeProtocolConfig(filter: FilterState) {
  if (filter.protocolConfigSent || filter.config.observabilityMode) return {};
  filter.protocolConfigSent = true;
  return {
    protocolConfig: create(ProtocolConfigurationSchema, {
      requestBodyMode: bodyModeNumber(filter.request.mode.body),
      responseBodyMode: bodyModeNumber(filter.response.mode.body),
      sendBodyWithoutWaitingForHeaderResponse: filter.config.sendsBodyEarly,
    }),
  };
}
