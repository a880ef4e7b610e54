/**
 * `ext-proc`: the functions and types for processors.
 *
 * @packageDocumentation
 */

// What authors use daily: processors, their handlers, effects, and the transaction.

export type { BodyHandler, GrpcHandlers, WholeBody } from "./processor/body-handler.ts";
export { compose, defineProcessor, type Processor } from "./processor/definition.ts";
export type { Effect } from "./processor/effect.ts";
export {
  addHeaderIfAbsent,
  appendChunk,
  appendHeader,
  clearBody,
  clearRouteCache,
  continueAndReplace,
  immediateResponse,
  overrideMode,
  overwriteHeaderIfExists,
  removeHeader,
  replaceBody,
  replaceJson,
  replaceText,
  setAuthority,
  setDynamicMetadata,
  setHeader,
  setMethod,
  setPath,
  setStatus,
  setTypedDynamicMetadata,
  streamedImmediateResponse,
} from "./processor/effects.ts";
export type { Transaction } from "./processor/transaction.ts";
export { header } from "./protocol/headers/headers.ts";

// Tools for body handlers: what cuts a body into lines, events, JSON or text, whatever the chunks.

export { createJsonLineParser, formatJsonLine, type JsonLine, jsonLines } from "./bodies/split/json-lines.ts";
export { createLineSplitter, formatLine, type Line, lines } from "./bodies/split/lines.ts";
export { createReplacer, type Replacement, type Replacer, replacedChunks } from "./bodies/split/replacer.ts";
export { formatSseEvent, type ServerSentEvent, type SseEventFields } from "./bodies/split/server-sent-event.ts";
export { createSseSplitter, sseEvents } from "./bodies/split/server-sent-events.ts";
export { type BodyChunks, SplitError, type Splitter } from "./bodies/split/splitter.ts";
export { createUtf8Decoder, type Utf8Decoder, utf8Text } from "./bodies/split/utf8-text.ts";

// What libraries and tests use: the names of the types behind the functions above, and Envoy's own messages.

export type { HeaderMap, HeaderValue } from "../gen/envoy/config/core/v3/base_pb.js";
export type {
  HttpBody,
  HttpHeaders,
  HttpTrailers,
  ProcessingRequest,
  ProcessingResponse,
} from "../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
export type { BytePatternOptions } from "./bodies/split/byte-pattern.ts";
export type { JsonLineOptions } from "./bodies/split/json-lines.ts";
export type { LineEndsOptions } from "./bodies/split/line-ends.ts";
export type { LineOptions } from "./bodies/split/lines.ts";
export type { ReplaceOptions } from "./bodies/split/replacer.ts";
export type { SseOptions } from "./bodies/split/server-sent-events.ts";
export type { SplitErrorCode } from "./bodies/split/splitter.ts";
export type { Utf8Options } from "./bodies/split/utf8-text.ts";
export type { BodyOptions, Effects } from "./processor/body-handler.ts";
export type { FaultPolicy, Handler, Handlers, ProcessorDefinition } from "./processor/definition.ts";
export type {
  BodyEnd,
  EditablePhase,
  EditablePlace,
  EffectKind,
  EffectPlace,
  ImmediateResponseOptions,
  StreamedImmediateResponseOptions,
} from "./processor/effect.ts";
export type { GrpcMetadata } from "./processor/grpc-metadata.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./processor/standard-schema.ts";
export type { Origin, Peer, TransactionEnd, TransactionResult } from "./processor/transaction.ts";
export type { HeaderValues } from "./protocol/answers/immediate-response.ts";
export type { BodyMode } from "./protocol/body-mode.ts";
export { type Fault, FaultError } from "./protocol/fault.ts";
export type { FaultCode, FaultSource } from "./protocol/faults.ts";
export type { Head } from "./protocol/headers/head.ts";
export type { ModeOverride, Modes, OverrideBodyMode, SendMode } from "./protocol/mode-override.ts";
export type { BodyPhase, Direction, HeaderPhase, Phase, TrailerPhase } from "./protocol/phase.ts";
