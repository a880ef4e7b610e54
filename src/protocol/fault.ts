import type { Phase } from "./phase.ts";

/**
 * Who is to blame: Envoy broke the protocol, or its configuration does not fit (`envoy`), a processor failed
 * (`handler`), or this library failed (`internal`).
 */
export type FaultSource = "envoy" | "handler" | "internal";

/**
 * Why a transaction failed. The codes are stable: they are metric labels and log fields.
 *
 * - `handler_threw`: a handler threw, or the promise it returned was rejected.
 * - `invalid_effect`: a handler returned a value that is not an effect, or an effect that Envoy would reject.
 * - `header_ambiguous`: `one()` was called for a header that occurs more than once.
 * - `header_limit_exceeded`: the handler's changes make more or longer headers than Envoy accepts.
 * - `mutation_not_allowed`: a header change that Envoy would drop, by its `mutation_rules` as declared.
 * - `mode_override_not_allowed`: an override that Envoy would ignore, by its `allow_mode_override` as declared.
 * - `immediate_response_disabled`: an immediate response, but the operator declared `disableImmediateResponse`.
 * - `streamed_response_impossible`: a streamed immediate response in a body mode in which Envoy accepts none.
 * - `body_end_unknowable`: a handler needs the whole body, and the mode of this stream hides where it ends.
 * - `body_required_unseen`: a body handler is `required`, and Envoy does not send the body.
 * - `handler_unsupported_in_mode`: the body mode of this stream does not allow this kind of body handler.
 * - `body_partial_content`: a handler may change the body, but the body is partial content (status 206, or an upload's
 *   `content-range`).
 * - `body_too_large`: a body exceeds its handler's `maxBytes`, what Envoy buffers, or what its transaction may hold.
 * - `body_memory_exceeded`: all bodies that are held at the moment exceed what the server may hold, or a body waited too
 *   long for its decoder.
 * - `unknown_coding`: the server cannot decode the body's `content-encoding`.
 * - `body_undecodable`: the body does not match its `content-encoding` or its charset, or a `SplitError` ended its
 *   handler.
 * - `body_not_json`: the body is not JSON.
 * - `grpc_message_malformed`: the body is not a gRPC message of the method's type.
 * - `headers_already_sent`: a body handler changes headers that were already sent.
 * - `tail_undeliverable`: a handler adds bytes after a body, but the end of the body has no place for them.
 * - `handler_timeout`: a handler took longer than the processor's `timeoutMs`.
 * - `not_ready`: a message came before the processor's `setup` was done.
 * - `config_invalid`: the route's `x-ext-proc-config` is not JSON, or the processor's schema rejects it.
 * - `phase_not_sent`: Envoy skipped headers for which a processor with the policy `closed` has a handler.
 * - `answer_not_awaited`: Envoy continued to a later phase, or to the response, without an answer that it must wait for.
 * - `answer_too_late`: an answer of a processor with the policy `closed` was sent after Envoy had stopped waiting.
 * - `override_ignored`: Envoy visibly did not obey a mode override that was declared allowed.
 * - `body_stalled`: an override asked for a body, and Envoy sent nothing of it in time.
 * - `phase_out_of_order`: Envoy went back to a phase that was over, such as headers after a body.
 * - `message_too_large`: Envoy sent a message above the limit.
 * - `message_memory_exceeded`: the memory for unfinished and waiting messages is full, or the memory for large headers.
 * - `malformed_message`: Envoy sent bytes that are not a ProcessingRequest, or one with more than 10,000 headers or
 *   50,000 fields.
 * - `compressed_message`: Envoy sent a message in its `grpc-encoding`, and the server accepts none.
 * - `compression_undeclared`: Envoy marked a message as compressed, and its `grpc-encoding` is missing or `identity`.
 * - `server_draining`: the server shut down before the answer was ready.
 * - `internal_error`: a defect of this library.
 */
export type FaultCode =
  | "handler_threw"
  | "invalid_effect"
  | "header_ambiguous"
  | "header_limit_exceeded"
  | "mutation_not_allowed"
  | "mode_override_not_allowed"
  | "immediate_response_disabled"
  | "streamed_response_impossible"
  | "body_end_unknowable"
  | "body_required_unseen"
  | "handler_unsupported_in_mode"
  | "body_partial_content"
  | "body_too_large"
  | "body_memory_exceeded"
  | "unknown_coding"
  | "body_undecodable"
  | "body_not_json"
  | "grpc_message_malformed"
  | "headers_already_sent"
  | "tail_undeliverable"
  | "handler_timeout"
  | "not_ready"
  | "config_invalid"
  | "phase_not_sent"
  | "answer_not_awaited"
  | "answer_too_late"
  | "override_ignored"
  | "body_stalled"
  | "phase_out_of_order"
  | "message_too_large"
  | "message_memory_exceeded"
  | "malformed_message"
  | "compressed_message"
  | "compression_undeclared"
  | "server_draining"
  | "internal_error";

/** A failure as a value. It ends its own stream and nothing else. */
export interface Fault {
  /** Distinguishes a fault from other values. */
  readonly kind: "fault";
  /** What went wrong: a stable code, and a label of metrics. */
  readonly code: FaultCode;
  /** Who is to blame. */
  readonly source: FaultSource;
  /** What happened, in one line, without any header value or body byte: it goes to logs and to Envoy's access log. */
  readonly message: string;
  /** Name of the processor whose handler failed; undefined if no handler was involved. */
  readonly processor?: string | undefined;
  /** The phase of the message that caused the fault, if the message itself could not be read. */
  readonly phase?: Phase | undefined;
  /** The thrown value. It may contain data of the transaction, so it is never logged. */
  readonly cause?: unknown;
}

const SOURCES: Readonly<Record<FaultCode, FaultSource>> = {
  handler_threw: "handler",
  invalid_effect: "handler",
  header_ambiguous: "handler",
  header_limit_exceeded: "handler",
  mutation_not_allowed: "handler",
  mode_override_not_allowed: "handler",
  immediate_response_disabled: "handler",
  streamed_response_impossible: "handler",
  body_end_unknowable: "envoy",
  body_required_unseen: "envoy",
  handler_unsupported_in_mode: "envoy",
  body_partial_content: "envoy",
  body_too_large: "envoy",
  body_memory_exceeded: "internal",
  unknown_coding: "envoy",
  body_undecodable: "envoy",
  body_not_json: "envoy",
  grpc_message_malformed: "envoy",
  headers_already_sent: "handler",
  tail_undeliverable: "handler",
  handler_timeout: "handler",
  not_ready: "handler",
  config_invalid: "envoy",
  phase_not_sent: "envoy",
  answer_not_awaited: "envoy",
  answer_too_late: "handler",
  override_ignored: "envoy",
  body_stalled: "envoy",
  phase_out_of_order: "envoy",
  message_too_large: "envoy",
  message_memory_exceeded: "internal",
  malformed_message: "envoy",
  compressed_message: "envoy",
  compression_undeclared: "envoy",
  server_draining: "internal",
  internal_error: "internal",
};

/** Every fault code, for counters that start at zero. */
export const FAULT_CODES = Object.keys(SOURCES) as readonly FaultCode[];

/** Makes a fault; its source follows from its code. */
export function fault(
  code: FaultCode,
  message: string,
  details: {
    readonly processor?: string | undefined;
    readonly phase?: Phase | undefined;
    readonly cause?: unknown;
  } = {},
): Fault {
  return { kind: "fault", code, source: SOURCES[code], message, ...details };
}

const FAULT_ERROR = Symbol.for("ext-proc.fault-error");

/**
 * Thrown if a function that a handler calls has a fault, such as `tx.request.one()`. A handler should not catch it: the
 * runner turns it back into its fault. A handler may catch it to decide itself.
 */
export class FaultError extends Error {
  /** Code of the fault that this error becomes. */
  readonly code: FaultCode;
  readonly [FAULT_ERROR] = true;

  constructor(code: FaultCode, message: string) {
    super(message);
    this.name = "FaultError";
    this.code = code;
  }

  /** True for a FaultError of any copy of this library: a global command line may load a local processor. */
  static is(value: unknown): value is FaultError {
    return typeof value === "object" && value !== null && FAULT_ERROR in value;
  }
}
