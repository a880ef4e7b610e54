import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type {
  HttpBody,
  HttpHeaders,
  ProcessingRequest,
  ProcessingResponse,
  ProtocolConfiguration,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Problem } from "../../text/problem.ts";
import type { Answer, AnswerPrelude, ContinueAnswer, ImmediateAnswer } from "../answers/answer.ts";
import { type BodyState, dropsLength, protectsLength } from "../answers/content-length.ts";
import { neutralBodyAnswers } from "../answers/neutral-answer.ts";
import { addMetadata, headersAnswer, timeoutExtension, trailersAnswer } from "../answers/write-answer.ts";
import { bodyAnswers, isNeutralBody, streamedPieces } from "../answers/write-body-answer.ts";
import { type BodyMode, configuredBodyMode, returnsBody } from "../body-mode.ts";
import { ENVOY_DEFAULTS, type EnvoyDeclaration } from "../envoy-declaration.ts";
import { fault } from "../fault.ts";
import type { MessageFraming } from "../headers/framing-rules.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import type { HeaderFields } from "../headers/headers.ts";
import type { WorkingHead } from "../headers/working-head.ts";
import { type ModeOverride, type Modes, resolveModeOverride } from "../mode-override.ts";
import {
  type BodyPhase,
  DIRECTIONS,
  type Direction,
  directionOf,
  type HeaderPhase,
  isBodyPhase,
  isHeaderPhase,
  type Phase,
  type PhaseMessage,
} from "../phase.ts";
import { unreadFault } from "../unread-body.ts";
import type { Accepted } from "./accepted.ts";
import { DirectionState, endsDirection, RANK, rankOf } from "./direction-state.ts";
import { OverrideWatch } from "./override-watch.ts";
import { passedOver, runsAhead } from "./passed-over.ts";
import { isEmpty, TransactionContext } from "./transaction-context.ts";

/**
 * Why an immediate response would not reach the client.
 *
 * - `observed`: Envoy ignores all answers (observability mode).
 * - `answered`: an immediate response was sent before, perhaps a streamed one.
 * - `disabled`: the operator declared `disableImmediateResponse`; for Envoy it would be a protocol error.
 * - `response_begun`: the client has the response headers, so Envoy could only reset the client's stream.
 */
export type ImmediateObstacle = "observed" | "answered" | "disabled" | "response_begun";

const NOTHING: readonly ProcessingResponse[] = [];
const NO_PHASES: readonly Phase[] = [];
const NO_BODIES: readonly BodyPhase[] = [];

/** Options of an exchange. */
export interface MessageExchangeOptions {
  /** Default: Envoy's own defaults. */
  readonly declaration?: EnvoyDeclaration | undefined;
  /** The directions whose bodies have handlers. Default: none. */
  readonly claims?: Readonly<Record<Direction, boolean>> | undefined;
}

const NO_CLAIMS: Readonly<Record<Direction, boolean>> = { request: false, response: false };

/**
 * The state machine of one HTTP transaction, and the only place that writes ProcessingResponses. Every message that
 * needs an answer gets exactly one, with the matching oneof member. Only in FULL_DUPLEX_STREAMED and GRPC may a piece
 * of a body get several answers. It does no I/O, has no clock and runs no handler.
 */
export class MessageExchange {
  /** What the operator declares about Envoy. */
  readonly declaration: EnvoyDeclaration;
  /** The directions whose bodies have handlers. The handlers then choose the body mode. */
  readonly claims: Readonly<Record<Direction, boolean>>;
  /** The number of messages without an answer. While it is above 0, ending the stream with OK loses answers. */
  unanswered = 0;

  #first = true;
  #answeredImmediately = false;
  #observed = false;
  #sendsBodyAtOnce = false;
  /** Created when an override is sent. */
  #overrides: OverrideWatch | undefined;
  /** Created when Envoy sends attributes or metadata. */
  #context: TransactionContext | undefined;
  readonly #directions: Record<Direction, DirectionState> = {
    request: new DirectionState(),
    response: new DirectionState(),
  };

  constructor({ declaration = ENVOY_DEFAULTS, claims = NO_CLAIMS }: MessageExchangeOptions = {}) {
    this.declaration = declaration;
    this.claims = claims;
  }

  /** True if Envoy only sends copies (`observability_mode`): it ignores answers, so none are written. */
  get observabilityMode(): boolean {
    return this.#observed;
  }

  /** The body mode in force, including an override by this server; undefined if Envoy did not say. */
  bodyMode(direction: Direction): BodyMode | undefined {
    return this.#state(direction).mode;
  }

  /** The headers of a direction as Envoy sent them; undefined before that. */
  headers(direction: Direction): HttpHeaders | undefined {
    return this.#state(direction).headers;
  }

  /** The framing of the message of a direction, without the changes of handlers; undefined before its headers came. */
  framing(direction: Direction): MessageFraming | undefined {
    return this.#state(direction).framing;
  }

  /** The headers of a direction with the changes made so far; empty before Envoy sent them. */
  headerFields(direction: Direction): HeaderFields {
    return this.#state(direction).fields;
  }

  /** Applies a list of changes, which may still grow, to the headers of a direction. The answers must contain them. */
  changeHead(direction: Direction, changes: readonly HeaderChange[]): WorkingHead {
    return this.#state(direction).changeHead(changes);
  }

  /** Returns an attribute that Envoy sent with either direction. */
  attribute(name: string): JsonValue | undefined {
    return this.#context?.attribute(name);
  }

  /** Returns dynamic metadata of the latest message. Envoy sends all of it with every message. */
  metadata(namespace: string): JsonObject | undefined {
    return this.#context?.metadata(namespace);
  }

  /** Returns typed dynamic metadata of the latest message. */
  typedMetadata(namespace: string): Any | undefined {
    return this.#context?.typedMetadata(namespace);
  }

  /** Why an immediate response would no longer reach the client; undefined if it would. */
  get immediateObstacle(): ImmediateObstacle | undefined {
    if (this.#observed) return "observed";
    if (this.#answeredImmediately) return "answered";
    if (this.declaration.disableImmediateResponse) return "disabled";
    return this.#directions.response.holdsHeaders ? undefined : "response_begun";
  }

  /** True while the transaction can still pass unchanged by neutral answers, because no bytes are held back. */
  get canStillPass(): boolean {
    const { request, response } = this.#directions;
    return !this.#answeredImmediately && !request.withheld && !response.withheld;
  }

  /** True while a full-duplex body has no end and is held back, or was partly sent in another form. */
  get lacksEnd(): boolean {
    const { request, response } = this.#directions;
    // After the end of the response Envoy does not wait for the end of the request.
    return !this.#observed && !response.ended && (request.lacksEnd || response.lacksEnd);
  }

  /** Says whether bytes of a body are held back, or are sent in another form. */
  withhold(direction: Direction, withheld: boolean): void {
    this.#state(direction).withheld = withheld;
  }

  /** The length of the body after the headers: 0 if there is no body, undefined if it is not known. */
  bodyBytes(direction: Direction): number | undefined {
    return this.#state(direction).bodyBytes;
  }

  /** The body modes of a direction, and its headers with the changes made so far. */
  bodyState(direction: Direction): BodyState {
    return this.#state(direction);
  }

  /** The value of `content-length` of a direction, even if no body follows; undefined if it is missing or invalid. */
  declaredBytes(direction: Direction): number | undefined {
    return this.#state(direction).declaredBytes;
  }

  /** True while a phase may still come, or has come and waits for its answer. */
  awaits(phase: Phase): boolean {
    const { answeredRank, ended, rank, unanswered } = this.#state(directionOf(phase));
    // One more piece of a body may need an answer.
    if (isBodyPhase(phase))
      return answeredRank <= rankOf(phase) && (!ended || (rank === rankOf(phase) && unanswered > 0));
    return answeredRank < rankOf(phase) && !(ended && rank < rankOf(phase));
  }

  /** The overrides that were sent; undefined if there were none. */
  get overrides(): OverrideWatch | undefined {
    return this.#overrides;
  }

  /** Bodies that an override asked for, and of which nothing came before the transaction ended. */
  get unsentBodies(): readonly BodyPhase[] {
    return this.#overrides?.unsentBodies ?? NO_BODIES;
  }

  /** True while the server may have pieces of a body that Envoy has no copy of: an end with OK would lose them. */
  get holdsBody(): boolean {
    const { request, response } = this.#directions;
    return !this.#observed && (request.isWithUs || response.isWithUs);
  }

  /** A conditional instead of `[direction]`, because engines look up a changing name in a table. */
  #state(direction: Direction): DirectionState {
    return direction === "request" ? this.#directions.request : this.#directions.response;
  }

  /** Takes Envoy's next message. */
  accept(message: ProcessingRequest): Accepted {
    if (this.#first) this.#open(message.protocolConfig);
    if (message.observabilityMode) this.#observe();
    const { request } = message;
    if (request.case === undefined) return { kind: "ignored", reason: "unset" };
    if (this.#answeredImmediately) return { kind: "ignored", reason: "answered_immediately" };
    const direction = directionOf(request.case);
    const state = this.#state(direction);
    // Envoy may repeat the end of a body. Messages after the end need no answer.
    if (state.ended) return { kind: "ignored", reason: "ended" };
    const rank = rankOf(request.case);
    if (rank < state.rank || (rank === state.rank && rank !== RANK.body)) {
      return fault("phase_out_of_order", `${request.case} came after that phase of its direction was over`);
    }
    // Envoy keeps no copy of such a piece, and unread bytes cannot be sent back.
    const unread = isBodyPhase(request.case) ? unreadFault(request.value as HttpBody) : undefined;
    if (unread !== undefined && returnsBody(state.mode)) return unread;
    const ignored = this.#overrides?.ignoredBuffered(request, unread !== undefined);
    if (ignored !== undefined) return fault("override_ignored", ignored);
    const passed = state.rank === 0 && !this.#observed ? passedOver(request, this.#directions) : undefined;
    const unasked = this.#overrides?.unasked(request);
    state.rank = rank;
    state.ended = endsDirection(request);
    if (isHeaderPhase(request.case)) state.open(direction, request.value as HttpHeaders);
    if (message.metadataContext !== undefined || !isEmpty(message.attributes)) {
      this.#context ??= new TransactionContext();
      this.#context.remember(message, direction);
    }
    if (!this.#observed) {
      this.unanswered++;
      state.unanswered++;
    }
    return { kind: "message", message: request, passed, unasked };
  }

  /** True for a message that Envoy sends before it has an answer that it must wait for. */
  runsAhead(phase: Phase): boolean {
    return !this.#sendsBodyAtOnce && runsAhead(phase, this.#state(directionOf(phase)));
  }

  /**
   * The phases of the response that Envoy did not send, if it needs no more of the stream. Empty while the body of the
   * request has not come: then the stream ends because the client left, and Envoy drops the rest.
   */
  get responseNotSent(): readonly Phase[] {
    const { request, response } = this.#directions;
    const isSkipped = request.isSent && response.rank === 0 && !this.#observed && !this.#answeredImmediately;
    return isSkipped && this.#overrides?.latest.responseHeaders !== "SKIP"
      ? response.unsentPhases("response")
      : NO_PHASES;
  }

  /**
   * Makes the messages that answer `message`, in the order in which they must be sent. Within a direction, call this in
   * the order of {@link accept}. Returns nothing in observability mode and after an immediate response.
   */
  answer(message: PhaseMessage, answer: Answer): readonly ProcessingResponse[] {
    if (this.#observed || this.#answeredImmediately) return NOTHING;
    if (answer.kind === "immediate") return this.answerImmediately(answer);
    if (answer.prelude === undefined) return this.#answerMember(message, answer);
    return [...this.#answerFirst(answer.prelude, directionOf(message.case)), ...this.#answerMember(message, answer)];
  }

  /**
   * Makes messages with pieces of a full-duplex body while its handlers still produce more. If the answer to the
   * headers was held back, it comes first.
   */
  answerEarly(first: AnswerPrelude, direction: Direction): readonly ProcessingResponse[] {
    if (this.#observed || this.#answeredImmediately) return NOTHING;
    // What was sent cannot be taken back, so the original body can no longer pass.
    this.withhold(direction, true);
    return this.#answerFirst(first, direction);
  }

  /** Makes the message of the matching oneof member. For a body there may be several. */
  #answerMember(message: PhaseMessage, answer: ContinueAnswer): readonly ProcessingResponse[] {
    const state = this.#state(directionOf(message.case));
    this.unanswered--;
    state.unanswered--;
    state.answeredRank = rankOf(message.case);
    state.extended = false;
    switch (message.case) {
      case "requestHeaders":
      case "responseHeaders":
        state.hasAnsweredHeaders = true;
        if (answer.modeOverride) {
          this.#overrides ??= new OverrideWatch(this.#directions);
          this.#overrides.obey(answer.modeOverride);
        }
        // Envoy sends nothing more of this direction, and accepts no answer to what it has sent.
        if (answer.wholeBody) state.end();
        return [
          headersAnswer(message.case, answer, dropsLength(state, answer.headerChanges, this.declaration.mutationRules)),
        ];
      case "requestBody":
      case "responseBody":
        return isNeutralBody(answer)
          ? neutralBodyAnswers(message.case, message.value, state.mode)
          : bodyAnswers(message, answer, {
              mode: state.mode,
              fields: state.fields,
              maySetLength: protectsLength(this.declaration.mutationRules) === undefined,
            });
      default:
        state.withheld = false;
        return [trailersAnswer(message.case, answer)];
    }
  }

  /** Builds the messages of an immediate response. It answers every message that still waits. */
  answerImmediately(answer: ImmediateAnswer): readonly ProcessingResponse[] {
    if (this.#observed || this.#answeredImmediately) return NOTHING;
    this.#answeredImmediately = true;
    this.#forgetWaiting();
    const [first, ...rest] = answer.responses;
    return first ? [addMetadata(first, answer), ...rest] : NOTHING;
  }

  /**
   * Completes an override for the answer to these headers. Undefined if it changes nothing, a problem if Envoy would
   * not obey it.
   */
  resolveModeOverride(wanted: ModeOverride, phase: HeaderPhase): ModeOverride | Problem | undefined {
    const { request, response } = this.#directions;
    return resolveModeOverride(wanted, {
      phase,
      declaration: this.declaration,
      configured: { requestBody: request.configured, responseBody: response.configured },
      modes: this.modes,
      earlier: this.#overrides?.latest,
      sendsBodyAtOnce: this.#sendsBodyAtOnce,
      bodyBytes: this.#state(directionOf(phase)).bodyBytes,
    });
  }

  /** The body modes in force. */
  get modes(): Modes {
    return { requestBody: this.bodyMode("request"), responseBody: this.bodyMode("response") };
  }

  /**
   * Makes the message that asks Envoy to wait `ms` milliseconds from now for the answers of a direction; undefined if Envoy
   * would ignore it. Envoy extends a timer once per waiting message, up to `max_message_timeout`. It extends both directions.
   */
  extendTimeout(direction: Direction, ms: number): ProcessingResponse | undefined {
    const state = this.#state(direction);
    if (this.#observed || state.unanswered === 0 || state.extended || state.mode === "FULL_DUPLEX_STREAMED")
      return undefined;
    if (!(ms >= 1 && ms <= this.declaration.maxMessageTimeoutMs)) return undefined;
    for (const waiting of Object.values(this.#directions)) waiting.extended ||= waiting.unanswered > 0;
    return timeoutExtension(ms);
  }

  /** Makes the messages that were held back in a direction. */
  #answerFirst({ headers, pieces = [] }: AnswerPrelude, direction: Direction): readonly ProcessingResponse[] {
    const phase = direction === "request" ? "requestBody" : "responseBody";
    const answered = headers ? this.#answerMember(headers.message, headers.answer) : NOTHING;
    return [...answered, ...streamedPieces(phase, pieces)];
  }

  #open(config: ProtocolConfiguration | undefined): void {
    this.#first = false;
    this.#sendsBodyAtOnce = config?.sendBodyWithoutWaitingForHeaderResponse ?? false;
    if (config === undefined) return;
    for (const direction of DIRECTIONS) {
      const mode = configuredBodyMode(config, direction);
      this.#state(direction).configured = mode;
      this.#state(direction).mode = mode;
    }
  }

  #observe(): void {
    this.#observed = true;
    // From now on nothing is answered, not even earlier messages.
    this.#forgetWaiting();
  }

  #forgetWaiting(): void {
    this.unanswered = 0;
    this.#directions.request.unanswered = 0;
    this.#directions.response.unanswered = 0;
  }
}
