import type {
  HttpBody,
  HttpHeaders,
  HttpTrailers,
  ProcessingRequest,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

/**
 * The six points of an HTTP transaction at which Envoy asks. The names are those of the `request` oneof of
 * `envoy.service.ext_proc.v3.ProcessingRequest` and of the members that answer it.
 */
export type Phase = HeaderPhase | BodyPhase | TrailerPhase;

/** The phases that carry a header map with pseudo-headers. */
export type HeaderPhase = "requestHeaders" | "responseHeaders";

/** The phases that carry body bytes. */
export type BodyPhase = "requestBody" | "responseBody";

/** The phases that carry trailers. */
export type TrailerPhase = "requestTrailers" | "responseTrailers";

/** The two halves of a transaction. Envoy runs a state machine for each, and their messages may interleave. */
export type Direction = "request" | "response";

/** Both directions. */
export const DIRECTIONS: readonly Direction[] = ["request", "response"];

/** Every phase, in the order in which one direction after the other passes through them. */
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

/** A message together with the phase it belongs to: the `request` oneof once it is known to be set. */
export type PhaseMessage = { readonly [P in Phase]: { readonly case: P; readonly value: PhaseMessages[P] } }[Phase];

/** A message that carries headers. */
export type HeaderMessage = Extract<PhaseMessage, { readonly case: HeaderPhase }>;

const LETTER_Q = 0x71;

/** The half of the transaction that a phase belongs to. */
export function directionOf(phase: Phase): Direction {
  // A table would be asked with six names, for which engines have no quick way: the third letter of two words decides.
  return phase.charCodeAt(2) === LETTER_Q ? "request" : "response";
}

/** The body phase of the direction whose headers these are. */
export function bodyPhaseOf(phase: HeaderPhase): BodyPhase {
  return phase === "requestHeaders" ? "requestBody" : "responseBody";
}

/** The trailer phase of the direction whose body this is. */
export function trailerPhaseOf(phase: BodyPhase): TrailerPhase {
  return phase === "requestBody" ? "requestTrailers" : "responseTrailers";
}

/**
 * The phase of a message, or undefined if its oneof is unset: such messages carry flow control only
 * (`client_window_update`) and need no answer.
 */
export function phaseOf(message: ProcessingRequest): Phase | undefined {
  return message.request.case;
}

/** Tags of the members of a ProcessingRequest's oneof, in the order of {@link PHASES}. */
const PHASE_TAGS: readonly number[] = [0x12, 0x22, 0x32, 0x1a, 0x2a, 0x3a];

/** The phase of a message by its first byte: Envoy writes the member first. Undefined for any other byte. */
export function phaseByTag(tag: number): Phase | undefined {
  return PHASES[PHASE_TAGS.indexOf(tag)];
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
