import { GrpcStatus } from "./grpc-status.ts";

/**
 * Who caused a fault: Envoy broke the protocol, or its configuration does not fit (`envoy`), a processor failed (`handler`),
 * or this library did (`internal`).
 */
export type FaultSource = "envoy" | "handler" | "internal";

/** All properties of a fault code. */
export interface FaultKind {
  readonly source: FaultSource;
  /**
   * The status of a gRPC error with this code. Never OK: Envoy lets the message pass then. A failure of a processor is
   * INTERNAL, or DEADLINE_EXCEEDED if it took too long. A mistake of Envoy's side is INVALID_ARGUMENT, RESOURCE_EXHAUSTED at a
   * limit, or FAILED_PRECONDITION if its configuration is not as declared. Compression has what gRPC's compression.md demands.
   * A server that cannot answer now is UNAVAILABLE: a retry can help.
   */
  readonly grpcStatus: keyof typeof GrpcStatus;
  /** The status of the immediate response of the policy `closed`, by the direction of the message. Default: 500. */
  readonly httpStatus?: { readonly request: number; readonly response: number };
  /** What happens with the transaction under the policy `closed`, if it is not an immediate response. */
  readonly closed?: string;
  /** What happens with the transaction under the policy `open`. */
  readonly open: string;
  /** What happened, in one sentence. */
  readonly meaning: string;
  /** What to do about it. */
  readonly fix: string;
}

/**
 * Every fault, by its code. The codes are stable: they are labels of metrics and fields of log lines. The tables of the
 * documentation and `ext-proc explain` are made of this.
 */
export const FAULTS = {
  handler_threw: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A handler threw, or the promise that it returned was rejected.",
    fix: "Look at the log line of the fault: it names the place in the handler. Catch the error there, or choose the processor's onFault for it.",
  },
  invalid_effect: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A handler returned something that is not an effect, or an effect that Envoy would refuse.",
    fix: "The message of the fault names the effect and the rule. Return the result of setHeader() or of another effect function, with a valid value.",
  },
  header_ambiguous: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A handler asked tx.request.one() for a header that came more than once.",
    fix: "Read all values with tx.request.all(), and decide which one counts; or refuse such requests.",
  },
  header_limit_exceeded: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "With the handler's changes the headers are more, or longer, than Envoy allows.",
    fix: "Set fewer or shorter headers.",
  },
  mutation_not_allowed: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A handler changed a header that Envoy's mutation_rules, as declared, protect.",
    fix: "Allow the change in mutation_rules of Envoy's filter and declare the same rules (envoy.mutationRules); or do not change the header.",
  },
  mode_override_not_allowed: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A handler returned a mode override that Envoy, as declared, would ignore.",
    fix: "Set allow_mode_override in Envoy's filter and declare envoy.allowModeOverride; or configure the mode in the filter.",
  },
  immediate_response_disabled: {
    source: "handler",
    grpcStatus: "INTERNAL",
    closed: "gRPC error",
    open: "passes",
    meaning:
      "A handler returned an immediate response, and the operator declared that Envoy's filter has disable_immediate_response.",
    fix: "Remove disable_immediate_response from Envoy's filter and the declaration; or do not use immediateResponse().",
  },
  streamed_response_impossible: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A handler returned a streamed immediate response in a body mode in which Envoy does not allow it.",
    fix: "Set request_body_mode to NONE or FULL_DUPLEX_STREAMED; or use immediateResponse().",
  },
  body_end_unknowable: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    open: "passes",
    meaning: "A handler wants the whole body, and in this body mode the end of the body cannot be recognized.",
    fix: "Set the body mode to BUFFERED or FULL_DUPLEX_STREAMED; or set the trailer mode to SEND; or use a handler that reads chunks.",
  },
  body_required_unseen: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    open: "passes",
    meaning: "A body handler is required, and Envoy does not send the body.",
    fix: "Set the body mode of Envoy's filter to STREAMED, BUFFERED or FULL_DUPLEX_STREAMED, in per-route overrides too.",
  },
  handler_unsupported_in_mode: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    open: "passes",
    meaning: "The body mode of this stream cannot serve a body handler of this kind.",
    fix: "Set another body mode: ext-proc check prints the modes that serve the handler.",
  },
  body_partial_content: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    open: "passes",
    meaning:
      "A handler may change the body, and the body is only a part of something larger (status 206, or a request with content-range).",
    fix: "Exclude such messages with the handler's when; or use an inspect handler, which changes nothing.",
  },
  body_too_large: {
    source: "envoy",
    grpcStatus: "RESOURCE_EXHAUSTED",
    httpStatus: { request: 413, response: 500 },
    closed: "413 or 500, always",
    open: "413 or 500, always",
    meaning: "A body is larger than its handler's maxBytes, than Envoy buffers, or than one transaction may hold.",
    fix: 'Raise the handler\'s maxBytes, or --max-held-body-bytes-per-stream; or set overLimit: "pass" if the body may pass unseen.',
  },
  body_memory_exceeded: {
    source: "internal",
    grpcStatus: "RESOURCE_EXHAUSTED",
    httpStatus: { request: 503, response: 503 },
    closed: "503, always",
    open: "503, always",
    meaning:
      "The bodies that are held now fill the server's memory for bodies, or so many bodies are decoded that this one waited too long.",
    fix: "Raise --max-held-body-bytes and the memory limit of the container; or run more servers; or read bodies in chunks.",
  },
  unknown_coding: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    httpStatus: { request: 415, response: 500 },
    open: "passes",
    meaning: "The body has a content-encoding that the server cannot decode.",
    fix: 'Exclude such bodies with the handler\'s when; or read the encoded bytes with encoding: "raw"; or remove accept-encoding from requests.',
  },
  body_undecodable: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    httpStatus: { request: 400, response: 500 },
    open: "passes if nothing of the body was held",
    meaning: "A body does not match its content-encoding or its charset, or a SplitError ended its handler.",
    fix: 'The client or the upstream sent a broken body. Read it with encoding: "raw" or read: "whole" if such bodies must be handled.',
  },
  body_not_json: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    httpStatus: { request: 400, response: 500 },
    open: "passes if nothing of the body was held",
    meaning: "The body is not JSON, or it is JSON that is nested deeper than 1,000 levels.",
    fix: 'Exclude other bodies with the handler\'s when, for example by content-type; or use read: "text".',
  },
  grpc_message_malformed: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    httpStatus: { request: 400, response: 500 },
    open: "passes if nothing of the body was held",
    meaning: "The body is not a gRPC message of the method's type.",
    fix: "Check that the service in the grpc handlers is the one that the upstream serves.",
  },
  headers_already_sent: {
    source: "handler",
    grpcStatus: "INTERNAL",
    open: "passes if nothing of the body was held",
    meaning: "A body handler changed headers, and the headers had left already.",
    fix: "Change headers in the header handler; or use a body mode in which the answer to the headers waits for the body (BUFFERED, FULL_DUPLEX_STREAMED).",
  },
  tail_undeliverable: {
    source: "handler",
    grpcStatus: "INTERNAL",
    closed: "gRPC error",
    open: "passes, without these bytes (bytes_lost)",
    meaning: "A handler added bytes at the end of a body, and the end came without a place for them.",
    fix: "Set the trailer mode to SEND, so that the server sees the end of the body.",
  },
  handler_timeout: {
    source: "handler",
    grpcStatus: "DEADLINE_EXCEEDED",
    open: "passes",
    meaning: "A handler took longer than the processor's timeoutMs.",
    fix: "Make the handler faster; or raise timeoutMs, together with Envoy's message_timeout or max_message_timeout, and declare those.",
  },
  not_ready: {
    source: "handler",
    grpcStatus: "UNAVAILABLE",
    httpStatus: { request: 503, response: 503 },
    open: "passes",
    meaning: "A message came before the processor's setup was done.",
    fix: "Look at the log: it says why setup fails. Send traffic only when /readyz answers 200.",
  },
  config_invalid: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    open: "passes",
    meaning: "The route's x-ext-proc-config is not JSON, or the processor's schema refuses it.",
    fix: "The message of the fault says what is wrong. Correct it in the grpc_initial_metadata of the route.",
  },
  phase_not_sent: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    closed: "500, or too late",
    open: "does not arise",
    meaning: "Envoy did not send headers for which a processor with the policy closed has a handler.",
    fix: "Set request_header_mode or response_header_mode to SEND; the message of the fault names the setting.",
  },
  answer_not_awaited: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    open: "passes",
    meaning: "Envoy went on to a later phase, or to the response, without an answer for which it must wait.",
    fix: "If the body mode is FULL_DUPLEX_STREAMED, set its trailer mode to SEND, in per-route overrides too.",
  },
  answer_too_late: {
    source: "handler",
    grpcStatus: "DEADLINE_EXCEEDED",
    closed: "too late",
    open: "does not arise",
    meaning: "An answer of a processor with the policy closed left after Envoy had stopped waiting.",
    fix: "Make the handler faster or asynchronous, or raise message_timeout.",
  },
  override_ignored: {
    source: "envoy",
    grpcStatus: "FAILED_PRECONDITION",
    open: "gRPC error",
    meaning: "Envoy visibly ignored a mode override that was declared as allowed.",
    fix: "Set allow_mode_override in Envoy's filter; or declare envoy.allowModeOverride: false.",
  },
  body_stalled: {
    source: "envoy",
    grpcStatus: "DEADLINE_EXCEEDED",
    httpStatus: { request: 408, response: 504 },
    closed: "408 or 504, always",
    open: "408 or 504, always",
    meaning: "A mode override asked for a body, and Envoy sent nothing of it in time.",
    fix: "Configure the body mode in Envoy's filter instead of overriding it; or lower envoy.bufferLimitBytes to Envoy's buffer limit; or raise envoy.overriddenBodyTimeoutMs for slow bodies.",
  },
  phase_out_of_order: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    open: "gRPC error",
    meaning: "Envoy went back to a phase that was over, such as headers after a body.",
    fix: "Envoy never does this. Look for another client of the gRPC port.",
  },
  message_too_large: {
    source: "envoy",
    grpcStatus: "RESOURCE_EXHAUSTED",
    httpStatus: { request: 413, response: 500 },
    closed: "413 or 500, always",
    open: "413 or 500, always",
    meaning: "A message is larger than --max-message-bytes, and a handler must see it.",
    fix: "Raise --max-message-bytes above Envoy's buffer limit; or use STREAMED, whose messages are small.",
  },
  message_memory_exceeded: {
    source: "internal",
    grpcStatus: "RESOURCE_EXHAUSTED",
    httpStatus: { request: 503, response: 503 },
    closed: "503, always",
    open: "503 if a handler must see it",
    meaning:
      "Unfinished messages and messages that wait for a handler fill the server's memory for messages, or large headers fill theirs.",
    fix: "Run more servers; or raise --max-held-message-bytes or --max-held-header-bytes, and the memory limit of the container.",
  },
  malformed_message: {
    source: "envoy",
    grpcStatus: "INVALID_ARGUMENT",
    open: "gRPC error",
    meaning: "The bytes are not a ProcessingRequest, or the message has more than 10,000 headers or 50,000 fields.",
    fix: "Envoy never sends this. Look for another client of the gRPC port.",
  },
  compressed_message: {
    source: "envoy",
    grpcStatus: "UNIMPLEMENTED",
    open: "gRPC error",
    meaning: "A message is compressed, and the server does not accept compressed messages.",
    fix: "Envoy never compresses. Remove the compression from the client.",
  },
  compression_undeclared: {
    source: "envoy",
    grpcStatus: "INTERNAL",
    open: "gRPC error",
    meaning: "A message is marked as compressed, and its grpc-encoding is missing or identity.",
    fix: "Envoy never compresses. Look for a broken client of the gRPC port.",
  },
  server_draining: {
    source: "internal",
    grpcStatus: "UNAVAILABLE",
    httpStatus: { request: 503, response: 503 },
    open: "passes, except for full-duplex bodies",
    meaning: "The server shut down before the answer was ready.",
    fix: "Raise --drain-grace-ms above the time that handlers need, and terminationGracePeriodSeconds with it.",
  },
  internal_error: {
    source: "internal",
    grpcStatus: "INTERNAL",
    open: "passes",
    meaning: "A defect of this library.",
    fix: "Please report it, with the log line.",
  },
} as const satisfies Readonly<Record<string, FaultKind>>;

/** Why a transaction failed; `ext-proc explain` and docs/failure.md say what each code means. */
export type FaultCode = keyof typeof FAULTS;

/** Every fault code, for counters that start at 0. */
export const FAULT_CODES = Object.keys(FAULTS) as readonly FaultCode[];

/** Returns the properties of a code. */
export function faultKind(code: FaultCode): FaultKind {
  return FAULTS[code];
}

/** Returns the number of the gRPC status of a stream that ends with this code. */
export function grpcStatusOf(code: FaultCode): number {
  return GrpcStatus[FAULTS[code].grpcStatus];
}
