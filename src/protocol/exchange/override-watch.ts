import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { neutralAnswer } from "../answers/neutral-answer.ts";
import type { BodyMode } from "../body-mode.ts";
import type { ModeOverride } from "../mode-override.ts";
import { type BodyPhase, type Direction, directionOf, type Phase, type PhaseMessage } from "../phase.ts";
import { type DirectionState, RANK, rankOf } from "./direction-state.ts";

/** The body modes in which Envoy can hang after an override. */
export type HangingMode = "BUFFERED" | "FULL_DUPLEX_STREAMED";

const NO_BODIES: readonly BodyPhase[] = [];

/**
 * Keeps the overrides that were sent in one transaction, and detects that Envoy did not obey them. Envoy ignores an
 * override silently if the filter lacks `allow_mode_override`, or if `allowed_override_modes` lacks the modes. Created
 * for the first override, so transactions without overrides do not pay for it.
 */
export class OverrideWatch {
  /** The last override. Envoy starts from its configuration each time, so the next override must repeat it. */
  latest: ModeOverride = {};
  readonly #directions: Readonly<Record<Direction, DirectionState>>;
  /** The body modes that differ from the configured ones. */
  readonly #asked: Record<Direction, BodyMode | undefined> = { request: undefined, response: undefined };

  constructor(directions: Readonly<Record<Direction, DirectionState>>) {
    this.#directions = directions;
  }

  /** Puts an override in force. */
  obey(override: ModeOverride): void {
    this.latest = override;
    this.#ask("request", override.requestBody);
    this.#ask("response", override.responseBody);
  }

  /**
   * Returns the mode that an override asked for, if Envoy can hang on this body and has sent nothing of it: BUFFERED if
   * the body is above Envoy's buffer limit, FULL_DUPLEX_STREAMED if it is empty.
   */
  hangingMode(direction: Direction): HangingMode | undefined {
    if (this.#awaitsBuffered(direction)) return "BUFFERED";
    const { rank, ended, bodyBytes } = this.#directions[direction];
    // Envoy does not continue with the response while the request hangs.
    const isPast = direction === "request" && this.#directions.response.rank > 0;
    const mayBeEmpty = rank === RANK.headers && !ended && bodyBytes === undefined && !isPast;
    return mayBeEmpty && this.#asked[direction] === "FULL_DUPLEX_STREAMED" ? "FULL_DUPLEX_STREAMED" : undefined;
  }

  /**
   * The message that releases a request that hangs because its body is empty: an answer to trailers that did not come.
   * If the body is only late, Envoy ignores the message, and the body comes as before. Undefined if Envoy might take
   * the message as the last answer that it needs: then a late body would pass unseen. This applies to responses, and to
   * requests whose response is not sent.
   */
  get emptyRequestRelease(): ProcessingResponse | undefined {
    return this.latest.responseHeaders === "SEND" ? neutralAnswer("requestTrailers")[0] : undefined;
  }

  /**
   * Bodies with a known length that an override asked for and of which Envoy sent nothing. Read this when the
   * transaction is over. It is a hint and not a proof: the client may have left, or the upstream may have answered,
   * before the body began. A request counts only if a response came.
   */
  get unsentBodies(): readonly BodyPhase[] {
    const { request, response } = this.#directions;
    const isUnsent = (direction: Direction, { awaitsBody, ended }: DirectionState) =>
      awaitsBody && !ended && this.#asked[direction] !== undefined && this.#asked[direction] !== "NONE";
    const ofRequest = response.rank > 0 && isUnsent("request", request);
    const ofResponse = isUnsent("response", response);
    if (!ofRequest && !ofResponse) return NO_BODIES;
    return [...(ofRequest ? (["requestBody"] as const) : []), ...(ofResponse ? (["responseBody"] as const) : [])];
  }

  /**
   * Says how a message shows that Envoy did not obey an override to BUFFERED; undefined if it does not show it. Call
   * this before the message changes the state of its direction.
   *
   * @param isUnread The bytes of the message were not read, so their number is not known.
   */
  ignoredBuffered(message: PhaseMessage, isUnread: boolean): string | undefined {
    const direction = directionOf(message.case);
    if (!isUnread && this.#isPartOfBuffered(message, direction))
      return `Envoy sent a part of a ${direction} body that an override asked to be BUFFERED`;
    if (direction === "response" && this.#directions.response.rank === 0 && this.#awaitsBuffered("request"))
      return "Envoy sent the response before the request body that an override asked to be BUFFERED";
    return undefined;
  }

  /**
   * Returns the phase of a message that an override asked Envoy not to send: a body, or response headers. Undefined for
   * other messages, and for later pieces of the same body.
   */
  unasked({ case: phase }: PhaseMessage): Phase | undefined {
    if (phase === "responseHeaders") return this.latest.responseHeaders === "SKIP" ? phase : undefined;
    const direction = directionOf(phase);
    if (rankOf(phase) !== RANK.body || this.#asked[direction] !== "NONE") return undefined;
    this.#asked[direction] = undefined;
    const state = this.#directions[direction];
    state.mode = state.configured;
    return phase;
  }

  #ask(direction: Direction, mode: BodyMode | undefined): void {
    const state = this.#directions[direction];
    this.#asked[direction] = mode === state.configured ? undefined : mode;
    state.mode = mode;
  }

  #awaitsBuffered(direction: Direction): boolean {
    const { awaitsBody, ended } = this.#directions[direction];
    return this.#asked[direction] === "BUFFERED" && awaitsBody && !ended;
  }

  /**
   * True for a part of a body that an override asked to be BUFFERED: it is shorter than `content-length`, or not the
   * first piece.
   */
  #isPartOfBuffered({ case: phase, value }: PhaseMessage, direction: Direction): boolean {
    if (this.#asked[direction] !== "BUFFERED" || rankOf(phase) !== RANK.body) return false;
    const { rank, bodyBytes } = this.#directions[direction];
    if (rank === RANK.body) return true;
    return bodyBytes !== undefined && "body" in value && value.body.length < bodyBytes;
  }
}
