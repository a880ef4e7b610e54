/**
 * `ext-proc`: what processors are written with.
 *
 * @packageDocumentation
 */

export type { HeaderMap, HeaderValue } from "../gen/envoy/config/core/v3/base_pb.js";
export type {
  HttpBody,
  HttpHeaders,
  HttpTrailers,
  ProcessingRequest,
  ProcessingResponse,
} from "../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
export { compose } from "./processor/compose.ts";
export {
  defineProcessor,
  type FaultPolicy,
  type Handler,
  type Handlers,
  type Outcome,
  type Processor,
  type ProcessorDefinition,
} from "./processor/definition.ts";
export type {
  EditablePhase,
  Effect,
  EffectKind,
  ImmediateResponseOptions,
  StreamedImmediateResponseOptions,
} from "./processor/effect.ts";
export {
  addHeaderIfAbsent,
  appendHeader,
  overwriteHeaderIfExists,
  removeHeader,
  setAuthority,
  setHeader,
  setMethod,
  setPath,
  setStatus,
} from "./processor/effect-headers.ts";
export {
  clearRouteCache,
  immediateResponse,
  overrideMode,
  setDynamicMetadata,
  setTypedDynamicMetadata,
  streamedImmediateResponse,
} from "./processor/effect-stream.ts";
export type { GrpcMetadata } from "./processor/grpc-metadata.ts";
export type { SchemaIssue, SchemaResult, StandardSchema } from "./processor/standard-schema.ts";
export type { Origin, Peer, Transaction, TransactionOutcome, TransactionResult } from "./processor/transaction.ts";
export type { BodyMode } from "./protocol/body-mode.ts";
export { type Fault, type FaultCode, FaultError, type FaultSource } from "./protocol/fault.ts";
export type { Head } from "./protocol/head.ts";
export { header } from "./protocol/headers.ts";
export type { HeaderValues } from "./protocol/immediate-response.ts";
export type { ModeOverride, Modes, OverrideBodyMode, SendMode } from "./protocol/mode-override.ts";
export type { BodyPhase, Direction, HeaderPhase, Phase, TrailerPhase } from "./protocol/phase.ts";
