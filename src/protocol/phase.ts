import type {
  HttpBody,
  HttpHeaders,
  HttpTrailers,
  ProcessingRequest,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * The six points of an HTTP transaction at which Envoy sends messages. The names are those of the `request` oneof of
 * `envoy.service.ext_proc.v3.ProcessingRequest`, and of the members of the answers.
 */
export type Phase = HeaderPhase | BodyPhase | TrailerPhase;

/** The phases that carry a header map with pseudo-headers. */
export type HeaderPhase = "requestHeaders" | "responseHeaders";

/** The phases that carry body bytes. */
export type BodyPhase = "requestBody" | "responseBody";

/** The phases that carry trailers. */
export type TrailerPhase = "requestTrailers" | "responseTrailers";

/** The two halves of a transaction. Envoy has a state machine for each, and their messages may interleave. */
export type Direction = "request" | "response";

/** Both directions. */
export const DIRECTIONS: readonly Direction[] = ["request", "response"];

/** Every phase: first those of the request in order, then those of the response. */
export const PHASES: readonly Phase[] = [
  "requestHeaders",
  "requestBody",
  "requestTrailers",
  "responseHeaders",
  "responseBody",
  "responseTrailers",
];

/** What Envoy sends in each phase. */
export interface PhaseMessages {
  requestHeaders: HttpHeaders;
  requestBody: HttpBody;
  requestTrailers: HttpTrailers;
  responseHeaders: HttpHeaders;
  responseBody: HttpBody;
  responseTrailers: HttpTrailers;
}

/** A message with its phase: a `request` oneof that is set. */
export type PhaseMessage = { readonly [P in Phase]: { readonly case: P; readonly value: PhaseMessages[P] } }[Phase];

/** A message that carries headers. */
export type HeaderMessage = Extract<PhaseMessage, { readonly case: HeaderPhase }>;

const LETTER_Q = 0x71;

/** Returns the direction of a phase. */
export function directionOf(phase: Phase): Direction {
  // Engines have no fast lookup for a table with six names. The third letters of the words "request" and "response" differ.
  return phase.charCodeAt(2) === LETTER_Q ? "request" : "response";
}

/** Returns the trailer phase of the same direction. */
export function trailerPhaseOf(phase: BodyPhase): TrailerPhase {
  return phase === "requestBody" ? "requestTrailers" : "responseTrailers";
}

/**
 * Returns the phase of a message. Undefined if its oneof is not set: such messages only carry flow control
 * (`client_window_update`) and need no answer.
 */
export function phaseOf(message: ProcessingRequest): Phase | undefined {
  return message.request.case;
}

/** True for the two phases that carry body bytes. */
export function isBodyPhase(phase: Phase | undefined): phase is BodyPhase {
  return phase === "requestBody" || phase === "responseBody";
}

/** True for the two phases that carry headers. */
export function isHeaderPhase(phase: Phase | undefined): phase is HeaderPhase {
  return phase === "requestHeaders" || phase === "responseHeaders";
}

/** True for a message that carries headers. */
export function isHeaderMessage(message: PhaseMessage): message is HeaderMessage {
  return isHeaderPhase(message.case);
}
