import { returnsBody } from "../body-mode.ts";
import { hasHeader, headerFields, isGrpc, joinedText } from "../headers/headers.ts";
import { type Direction, directionOf, isBodyPhase, isHeaderPhase, type Phase, type PhaseMessage } from "../phase.ts";
import { type DirectionState, RANK } from "./direction-state.ts";

/** What Envoy skipped before it sent a message. */
export interface PassedOver {
  /** Phases that were over before Envoy sent anything of them. Their handlers did not run. */
  readonly notSent: readonly Phase[];
  /** The request phase whose answer Envoy did not wait for; undefined if it waited for all of them. */
  readonly notAwaited: Phase | undefined;
}

const NO_PHASES: readonly Phase[] = [];
const HEADERS: Readonly<Record<Direction, readonly Phase[]>> = {
  request: ["requestHeaders"],
  response: ["responseHeaders"],
};

/**
 * Headers that an upstream or Envoy's router adds to a response. Envoy's own replies (404, 413, timeouts) pass the
 * ext_proc filter before Envoy adds these headers. A reply of an earlier filter can have all of them: `ext_authz`
 * copies the headers of its authorization service.
 */
const UPSTREAM_HEADERS: readonly string[] = ["x-envoy-upstream-service-time", "date", "server"];

/**
 * Returns what the first message of a direction shows that Envoy skipped; undefined if nothing. Call this before the
 * message changes the state of the directions.
 *
 * A response says something about its request only if it comes from the upstream. A reply of Envoy itself, or of a
 * filter before ext_proc, also comes without request headers, or while a request waits for an answer. Then no handler
 * was skipped.
 */
export function passedOver(
  message: PhaseMessage,
  { request, response }: Readonly<Record<Direction, DirectionState>>,
): PassedOver | undefined {
  const direction = directionOf(message.case);
  const own = isHeaderPhase(message.case)
    ? NO_PHASES
    : skipped(direction === "request" ? request : response, direction);
  if (direction === "request") return own.length > 0 ? { notSent: own, notAwaited: undefined } : undefined;
  const isBehind = request.rank === 0 ? !request.isSkipReported : request.unanswered > 0 && request.holdsHeaders;
  if (!isBehind || !comesFromUpstream(message)) {
    return own.length > 0 ? { notSent: own, notAwaited: undefined } : undefined;
  }
  if (request.rank > 0)
    return {
      notSent: own,
      notAwaited: request.headers && !request.hasAnsweredHeaders ? "requestHeaders" : "requestBody",
    };
  request.isSkipReported = true;
  return { notSent: [...request.unsentPhases("request"), ...own], notAwaited: undefined };
}

/**
 * True for a message that Envoy should send only after the waiting messages of its direction are answered, according to
 * its body modes. In the streaming modes the pieces of a body follow each other. FULL_DUPLEX_STREAMED waits for
 * nothing.
 */
export function runsAhead(phase: Phase, { mode, unanswered, rank }: DirectionState): boolean {
  if (unanswered === 0 || mode === undefined || returnsBody(mode)) return false;
  return !(mode === "STREAMED" && isBodyPhase(phase) && rank >= RANK.body);
}

/** Returns the header phase if a direction begins without headers. */
function skipped(state: DirectionState, direction: Direction): readonly Phase[] {
  if (state.isSkipReported) return NO_PHASES;
  state.isSkipReported = true;
  return HEADERS[direction];
}

/**
 * True for a response that only an upstream can have sent. False for a response whose headers were skipped. A filter
 * before ext_proc rejects or redirects a request, so only a successful response shows that the request reached an
 * upstream.
 */
function comesFromUpstream(message: PhaseMessage): boolean {
  if (message.case !== "responseHeaders") return false;
  const fields = headerFields(message.value);
  // All gRPC replies have the status 200, and few gRPC servers send a date. A rejected call ends with its headers.
  if (isGrpc(fields)) return !message.value.endOfStream;
  return isSuccess(joinedText(fields, ":status")) && UPSTREAM_HEADERS.some((name) => hasHeader(fields, name));
}

/** True for 2xx, for a protocol switch, and for the answer to a conditional request. */
function isSuccess(status: string | undefined): boolean {
  return status?.startsWith("2") === true || status === "101" || status === "304";
}
