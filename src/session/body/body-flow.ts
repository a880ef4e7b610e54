import { create } from "@bufbuild/protobuf";
import { type HttpBody, HttpBodySchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import type { StreamBudget } from "../../memory/body-budget.ts";
import type { AnswerPrelude, ContinueAnswer } from "../../protocol/answers/answer.ts";
import { refuseLength } from "../../protocol/answers/protected-length.ts";
import { returnsBody } from "../../protocol/body-mode.ts";
import { BODY_HEADERS, BODY_VALIDATORS, type RunningBody } from "../../protocol/exchange/body-plan.ts";
import type { Exchange } from "../../protocol/exchange/exchange.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import { type BodyPhase, type Direction, directionOf, type PhaseMessage } from "../../protocol/phase.ts";
import { BodyWork } from "../fold/fold-body.ts";
import { dropHeaders, mergeMetadata, type PhaseWork } from "../fold/phase-work.ts";
import { after, type BodyBytes, type BodyStage, type Emit, type Soon, type StageEnd } from "./body-stage.ts";
import { HeldRoom } from "./held-room.ts";
import type { CurrentBody } from "./stage-context.ts";

/**
 * Sends pieces of a body while its handlers still produce more. It returns a promise while there is no room for more.
 */
export type SendEarly = (direction: Direction, first: AnswerPrelude) => Promise<void> | undefined;

/** A message with a piece of a body. */
export type BodyMessage = { readonly case: BodyPhase; readonly value: HttpBody };

/** The options of a {@link BodyFlow}. */
export interface BodyFlowOptions {
  readonly phase: BodyPhase;
  readonly plan: RunningBody;
  readonly exchange: Exchange;
  readonly budget: StreamBudget;
  /** Envoy ignores the answers. */
  readonly watched: boolean;
  /** The length of the body, if `content-length` says it. */
  readonly bodyBytes: number | undefined;
  /** The answer to the headers, if it is held back. */
  readonly heldHeaders: PhaseWork | undefined;
  pending(index: number): void;
  readonly sendEarly: SendEarly | undefined;
  /**
   * Called if Envoy sends only the beginning, before handlers see its end. Returns a fault if a handler needs the rest.
   */
  restUnseen(): StageEnd | undefined;
}

/** The output of one piece of a full-duplex body is sent in parts of about this size, before the rest is ready. */
const EARLY_BYTES = 256 << 10;

/** Runs one body through its handlers: it takes messages and returns answers. */
export class BodyFlow implements CurrentBody {
  work: BodyWork;
  takesHeaderChanges: boolean;
  messageCompressed = false;
  readonly budget: StreamBudget;
  /** True after the handlers have seen the end. Later pieces pass unchanged. */
  ended = false;
  closed = false;
  readonly #options: BodyFlowOptions;
  readonly #emits: Emit[] = [];
  #stages: readonly BodyStage[] = [];
  #held: PhaseWork | undefined;
  #pieces: BodyBytes[] = [];
  #pieceBytes = 0;
  /** Counts the output of one piece, if it can be sent only as a whole. */
  readonly #room: HeldRoom;
  /** A part of the output of this piece was sent. */
  #beganToLeave = false;
  #changed = false;
  /** True if the handlers changed anything in any message of the body. */
  #everChanged = false;
  #bytes = 0;
  #pieceCount = 0;
  #began = false;

  constructor(options: BodyFlowOptions) {
    this.#options = options;
    this.budget = options.budget;
    this.#room = new HeldRoom(options.budget);
    this.takesHeaderChanges = options.plan.takesHeaderChanges;
    this.#held = options.heldHeaders;
    const nothing = { case: options.phase, value: create(HttpBodySchema) };
    this.work = new BodyWork(nothing, options.exchange);
  }

  /** Sets the stages, in the order in which bytes pass through them. */
  run(stages: readonly BodyStage[]): void {
    this.#stages = stages;
    for (let index = 0; index <= stages.length; index++) this.#emits.push((piece) => this.#push(index, piece));
  }

  /** The headers that still wait for an answer. */
  get heldHeaders(): PhaseMessage | undefined {
    return this.#held?.message;
  }

  /** True if one of the handlers needs the whole body. */
  get needsWhole(): boolean {
    return this.#options.plan.needsWhole;
  }

  pending(index: number): void {
    this.#options.pending(index);
  }

  changed(): void {
    this.#changed = true;
  }

  /** Takes the next piece of the body. */
  take(message: BodyMessage): Soon<ContinueAnswer | StageEnd> {
    const { value } = message;
    const { plan, bodyBytes = Number.POSITIVE_INFINITY } = this.#options;
    const isLast = value.endOfStream || value.endOfStreamWithoutMessage;
    this.#open(message);
    this.messageCompressed = value.grpcMessageCompressed;
    this.#bytes += value.body.length;
    this.#pieceCount++;
    if (this.ended) return this.#afterEnd(value);
    const isEnd = isLast || plan.end === "message" || (plan.end === "count" && this.#bytes >= bodyBytes);
    const complete = isLast || plan.mode !== "BUFFERED_PARTIAL" || this.#bytes === bodyBytes || this.#bytes === 0;
    const unseen = isEnd ? (complete ? undefined : this.#options.restUnseen()) : this.#unknowable();
    const lost = unseen ?? (complete ? undefined : this.#cut());
    if (lost !== undefined) return lost;
    const piece = plainBytes(value.body);
    const passed = this.#push(0, piece);
    return after(
      isEnd ? after(passed, (end) => end ?? this.#finish(0, complete)) : passed,
      (end) => end ?? this.#answer(message, { piece, isEnd }),
    );
  }

  /**
   * Trailers came, which end the body. The rest of the body and the answer to the headers are sent before the answer to
   * the trailers.
   */
  finish(message: PhaseMessage): Soon<BodyWork | StageEnd> {
    this.#open(message);
    if (this.ended) return this.work;
    return after(this.#finish(0, true), (end) => {
      if (end !== undefined) return end;
      const { mode } = this.#options.plan;
      const pieces = this.#pieces;
      // Envoy accepts no body for a message that has trailers and no body.
      const hasPlace = returnsBody(mode) && this.#pieceCount > 0;
      if (!hasPlace && pieces.some(({ length }) => length > 0) && !this.#watched)
        return fault(
          "tail_undeliverable",
          `${this.#options.phase}: trailers came, and nothing can be added after the body any more`,
        );
      this.#everChanged ||= this.#changed;
      const headers = this.#release(true);
      this.#settle();
      if (returnsBody(mode)) {
        this.work.prelude = { headers, pieces };
        // The pieces are sent with the answer to the trailers. Without that answer they are lost.
        this.#options.exchange.withhold(directionOf(message.case), headers !== undefined || pieces.length > 0);
      }
      return this.work;
    });
  }

  /** Runs a complete body through the stages: the body that an effect put there instead of the original. */
  replace(message: PhaseMessage, bytes: BodyBytes): Soon<BodyBytes | StageEnd> {
    this.#open(message);
    const ended = after(this.#push(0, bytes), (end) => end ?? this.#finish(0, true));
    return after(ended, (end) => end ?? joinBytes(this.#pieces));
  }

  /** The fault of handlers that did not see the end of the body, and would have added something there. */
  get lostTail(): Soon<Fault | undefined> {
    const { plan } = this.#options;
    const mayHideEnd = (plan.mode === "STREAMED" || plan.mode === undefined) && plan.end === "eos";
    if (this.ended || this.#pieceCount === 0 || !mayHideEnd || this.#watched) return undefined;
    return this.#lostTailOf(this.#stages);
  }

  #lostTailOf([stage, ...others]: readonly BodyStage[]): Soon<Fault | undefined> {
    if (stage === undefined) return undefined;
    return after(stage.lostTail?.(), (lost) => lost ?? this.#lostTailOf(others));
  }

  /**
   * True if Envoy sent nothing of a body in GRPC mode. In this mode Envoy sends a body only if it has all of it when
   * the headers are answered.
   */
  get isUnseen(): boolean {
    return this.#options.plan.mode === "GRPC" && this.#pieceCount === 0 && !this.ended && !this.#watched;
  }

  /** The body is no longer needed. */
  close(): void {
    this.ended = true;
    this.closed = true;
    for (const stage of this.#stages) stage.close();
    this.#room.give();
    this.#stages = [];
    this.#pieces = [];
    this.#held = undefined;
  }

  get #watched(): boolean {
    return this.#options.watched;
  }

  #open(message: PhaseMessage): void {
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#beganToLeave = false;
    this.#room.give();
    this.#changed = false;
    this.work = this.#held && this.#began ? this.work : new BodyWork(message, this.#options.exchange);
    this.#began = true;
  }

  #push(index: number, piece: BodyBytes): Soon<StageEnd | undefined> {
    const stage = this.#stages[index];
    if (stage !== undefined) return stage.push(piece, this.#emits[index + 1] as Emit);
    if (this.closed) return undefined;
    this.#pieces.push(piece);
    this.#pieceBytes += piece.length;
    // A single piece already exists as its handler's own memory.
    if (this.#pieceBytes <= EARLY_BYTES || this.#pieces.length === 1) return undefined;
    return this.#passOn(piece.length);
  }

  /**
   * The output of one piece is so large that it does not wait for the rest. It is sent if the mode allows it, and
   * counted otherwise.
   */
  #passOn(bytes: number): Soon<StageEnd | undefined> {
    const { plan, phase, sendEarly } = this.#options;
    const leaves = plan.mode === "FULL_DUPLEX_STREAMED" ? sendEarly : undefined;
    if (leaves === undefined && !this.#watched) return this.#holdMore(bytes);
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#pieceBytes = 0;
    this.#beganToLeave = true;
    // In shadow and observability mode nothing is sent.
    if (this.#watched || leaves === undefined) return undefined;
    return after(leaves(directionOf(phase), { headers: this.#release(false), pieces }), () => undefined);
  }

  #holdMore(bytes: number): StageEnd | undefined {
    const cap = this.#room.take(bytes);
    if (cap === undefined) return undefined;
    this.budget.total.refused(cap, "reject");
    const code = cap === "total" ? "body_memory_exceeded" : "body_too_large";
    return fault(code, `${this.#options.phase}: the output of its handlers is more than may be held (${cap})`);
  }

  /** Only the beginning of the body comes. Some stages are skipped, and some end the body. */
  #cut(): StageEnd | undefined {
    const left: BodyStage[] = [];
    for (const stage of this.#stages) {
      const end = stage.cut?.();
      if (end === "pass") stage.close();
      else if (end !== undefined) return end;
      else left.push(stage);
    }
    this.#stages = left;
    return undefined;
  }

  #finish(from: number, complete: boolean): Soon<StageEnd | undefined> {
    this.ended = true;
    const stage = this.#stages[from];
    if (stage === undefined) return undefined;
    return after(stage.end(this.#emits[from + 1] as Emit, complete), (end) => end ?? this.#finish(from + 1, complete));
  }

  /**
   * A client that did not say its body mode may send the whole body in one piece. The first piece shows whether it
   * does.
   */
  #unknowable(): StageEnd | undefined {
    const { plan, phase } = this.#options;
    if (plan.mode !== undefined) return undefined;
    this.takesHeaderChanges = false;
    if (!plan.needsWhole || plan.end === "count") return undefined;
    return fault(
      "body_end_unknowable",
      `${phase}: the client did not say its body mode, and sent a piece without the end of the body`,
    );
  }

  #afterEnd({ body }: HttpBody): ContinueAnswer | StageEnd {
    const { plan, phase } = this.#options;
    if (plan.end === "count" && body.length > 0)
      return fault("body_end_unknowable", `${phase}: the body has more bytes than its content-length said`);
    this.work.body = returnsBody(plan.mode) ? { pieces: [] } : undefined;
    return this.work;
  }

  #answer(
    message: BodyMessage,
    { piece, isEnd }: { readonly piece: BodyBytes; readonly isEnd: boolean },
  ): ContinueAnswer | Fault {
    const { plan, exchange } = this.#options;
    const { work } = this;
    const [first] = this.#pieces;
    const isSame =
      !this.#changed &&
      !this.#beganToLeave &&
      (piece.length === 0 ? first === undefined || first.length === 0 : first === piece) &&
      this.#pieces.length <= 1;
    this.#everChanged ||= this.#changed;
    exchange.withhold(directionOf(message.case), !this.ended && this.#stages.some(({ withholds }) => withholds));
    this.#room.give();
    if (isEnd) this.#settle();
    if (returnsBody(plan.mode)) return this.#streamed(isEnd);
    if (isSame) return work;
    const bytes = this.#pieces.reduce((sum, { length }) => sum + length, 0);
    const state = exchange.bodyState(directionOf(message.case));
    const refusal = this.#watched ? undefined : refuseLength(state, bytes, exchange.declaration);
    if (refusal !== undefined) return fault("mutation_not_allowed", `${this.#options.phase}: ${refusal}`);
    work.body = { pieces: this.#pieces };
    // Envoy itself removes the length of a partial body, unless it has allow_content_length_header.
    if (plan.mode !== "STREAMED") dropHeaders(work, plan.mode === "BUFFERED_PARTIAL" ? BODY_HEADERS : BODY_VALIDATORS);
    return work;
  }

  /** If pieces are sent back on their own, the first piece or the end brings the answer to the headers with it. */
  #streamed(isEnd: boolean): ContinueAnswer {
    const pieces = this.#pieces;
    if (this.#held === undefined) {
      this.work.body = { pieces, answers: this.#firstPieceNeedsAnswer };
      return this.work;
    }
    const body = { pieces };
    if (!isEnd && pieces.length === 0) return { kind: "continue", headerChanges: [], body };
    return { kind: "continue", headerChanges: [], body, prelude: { headers: this.#release(isEnd) } };
  }

  /**
   * True if the first piece must get an answer. After an override Envoy may have the whole body, and keeps the trailers
   * until the piece has an answer.
   */
  get #firstPieceNeedsAnswer(): boolean {
    const { override, mode } = this.#options.plan;
    return override !== undefined && mode === "FULL_DUPLEX_STREAMED" && this.#pieceCount === 1;
  }

  /** Makes the answer to the headers, including what the body handlers want to change in them. */
  #release(isEnd: boolean): { readonly message: PhaseMessage; readonly answer: ContinueAnswer } | undefined {
    const held = this.#held;
    if (held === undefined) return undefined;
    this.#held = undefined;
    this.takesHeaderChanges = false;
    const { work } = this;
    if (this.#everChanged || (!isEnd && this.#options.plan.changes)) dropHeaders(work, BODY_HEADERS);
    const answer: ContinueAnswer = {
      kind: "continue",
      headerChanges: [...held.headerChanges, ...work.headerChanges],
      clearRouteCache: held.clearRouteCache || work.clearRouteCache,
      modeOverride: held.modeOverride,
      ...mergeMetadata(held, work),
    };
    this.work = new BodyWork(work.message, work.exchange);
    return { message: held.message, answer };
  }

  #settle(): void {
    this.#room.give();
    for (const stage of this.#stages) stage.close();
    this.#options.exchange.withhold(directionOf(this.#options.phase), false);
  }
}
