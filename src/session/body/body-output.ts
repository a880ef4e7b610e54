import { joinBytes } from "../../bodies/owned-bytes.ts";
import { HeldRoom } from "../../memory/held-room.ts";
import type { AnswerPrelude, ContinueAnswer } from "../../protocol/answers/answer.ts";
import { mergeMetadata } from "../../protocol/answers/answer-metadata.ts";
import { refuseLength } from "../../protocol/answers/content-length.ts";
import { returnsBody } from "../../protocol/body-mode.ts";
import { BODY_HEADERS, BODY_VALIDATORS, type RunningBody } from "../../protocol/exchange/body-plan.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { Direction, PhaseMessage } from "../../protocol/phase.ts";
import { dropHeaders, type PhaseWork } from "../fold/phase-work.ts";
import { BodyWork, type CurrentBody } from "../stages/current-body.ts";
import { after, type BodyBytes, type Soon, type StageEnd } from "../stages/step.ts";

/**
 * Sends pieces of a body while its handlers still produce more. It returns a promise while there is no room for more.
 */
export type SendEarly = (direction: Direction, first: AnswerPrelude) => Promise<void> | undefined;

/** Where a body goes while its message is still being handled. */
export interface BodyOutlet {
  /** If undefined, the output of a piece is held until the piece is answered. */
  readonly sendEarly: SendEarly | undefined;
  /** The answer waits for a handler of the definition with this index. Its time counts. */
  waitsFor(direction: Direction, index: number): void;
}

/** The options of a {@link BodyOutput}. */
export interface BodyOutputOptions {
  readonly plan: RunningBody;
  /** The answer to the headers, if it is held back. */
  readonly heldHeaders: PhaseWork | undefined;
  /** Envoy ignores the answers. */
  readonly watched: boolean;
  readonly outlet: BodyOutlet;
}

/** The output of one piece of a full-duplex body is sent in parts of about this size, before the rest is ready. */
const EARLY_BYTES = 256 << 10;
/** Shared by all bodies. Nothing is added to it. */
const NO_PIECES: BodyBytes[] = [];

/** Collects the output for each message of a body, and makes answers of it. */
export class BodyOutput {
  /** True if the output for the current message differs from its piece. */
  isChanged = false;
  readonly #body: CurrentBody;
  readonly #plan: RunningBody;
  readonly #watched: boolean;
  readonly #sendEarly: SendEarly | undefined;
  #held: PhaseWork | undefined;
  #pieces = NO_PIECES;
  #bytes = 0;
  /** Counts the output of one piece, if it can be sent only as a whole. */
  readonly #room: HeldRoom;
  /** A part of the output of this piece was sent. */
  #beganToLeave = false;
  /** True if the handlers changed anything in any message of the body. */
  #everChanged = false;

  constructor(body: CurrentBody, { plan, heldHeaders, watched, outlet }: BodyOutputOptions) {
    this.#body = body;
    this.#plan = plan;
    this.#watched = watched;
    this.#held = heldHeaders;
    this.#room = new HeldRoom(body.budget);
    this.#sendEarly = plan.mode === "FULL_DUPLEX_STREAMED" ? outlet.sendEarly : undefined;
  }

  /** The headers that still wait for an answer. */
  get heldHeaders(): PhaseMessage | undefined {
    return this.#held?.message;
  }

  /** The output for the current message. */
  get joined(): BodyBytes {
    return joinBytes(this.#pieces);
  }

  /** A message came. */
  open(): void {
    this.#clear();
    this.#beganToLeave = false;
    this.isChanged = false;
  }

  /** Adds a piece. Returns what ends the body, or a promise while there is no room for more. */
  add(piece: BodyBytes): Soon<StageEnd | undefined> {
    // Most messages have one piece, and an array that grows reserves 16 more elements at once.
    if (this.#pieces.length === 0) this.#pieces = [piece];
    else this.#pieces.push(piece);
    this.#bytes += piece.length;
    // A single piece already exists as its handler's own memory.
    if (this.#bytes <= EARLY_BYTES || this.#pieces.length === 1) return undefined;
    if (!this.#watched && this.#sendEarly === undefined) return this.#holdMore(piece.length);
    const pieces = this.#pieces;
    this.#clear();
    this.#beganToLeave = true;
    // In shadow and observability mode nothing is sent.
    if (this.#watched || this.#sendEarly === undefined) return undefined;
    return after(this.#sendEarly(this.#body.direction, { headers: this.#release(false), pieces }), () => undefined);
  }

  /** Makes the answer to a piece of the body. */
  answer(piece: BodyBytes, isEnd: boolean, isFirst: boolean): ContinueAnswer | Fault {
    const { mode } = this.#plan;
    const { work, exchange, direction } = this.#body;
    const pieces = this.#pieces;
    const isSame = this.#isSame(piece);
    this.#everChanged ||= this.isChanged;
    this.#room.give();
    if (returnsBody(mode)) return this.#streamed(isEnd, isFirst);
    if (isSame) return work;
    const refusal = this.#watched
      ? undefined
      : refuseLength(exchange.bodyState(direction), this.#bytes, exchange.declaration);
    if (refusal !== undefined) return fault("mutation_not_allowed", `${this.#body.phase}: ${refusal}`);
    work.body = { pieces };
    // Envoy itself removes the length of a partial body, unless it has allow_content_length_header.
    if (mode !== "STREAMED") dropHeaders(work, mode === "BUFFERED_PARTIAL" ? BODY_HEADERS : BODY_VALIDATORS);
    return work;
  }

  /** Returns the fault of output that has no place, because trailers have come. */
  refuseRest(): Fault | undefined {
    if (this.#watched || this.#pieces.every(({ length }) => length === 0)) return undefined;
    const why = "trailers came, and nothing can be added after the body any more";
    return fault("tail_undeliverable", `${this.#body.phase}: ${why}`);
  }

  /** Makes the answer to trailers. What is still to be sent goes before it. */
  beforeTrailers(): BodyWork {
    this.#everChanged ||= this.isChanged;
    this.#room.give();
    const headers = this.#release(true);
    const { work, exchange, direction } = this.#body;
    if (returnsBody(this.#plan.mode)) {
      const pieces = this.#pieces;
      work.prelude = { headers, pieces };
      // The pieces are sent with the answer to the trailers. Without that answer they are lost.
      exchange.withhold(direction, headers !== undefined || pieces.length > 0);
    }
    return work;
  }

  /** The output is no longer needed. */
  close(): void {
    this.#clear();
    this.#held = undefined;
  }

  #clear(): void {
    this.#pieces = NO_PIECES;
    this.#bytes = 0;
    this.#room.give();
  }

  #isSame(piece: BodyBytes): boolean {
    const [first] = this.#pieces;
    if (this.isChanged || this.#beganToLeave || this.#pieces.length > 1) return false;
    return piece.length === 0 ? first === undefined || first.length === 0 : first === piece;
  }

  #holdMore(bytes: number): StageEnd | undefined {
    const cap = this.#room.take(bytes);
    if (cap === undefined) return undefined;
    this.#body.budget.total.refused(cap, "reject");
    const code = cap === "total" ? "body_memory_exceeded" : "body_too_large";
    return fault(code, `${this.#body.phase}: the output of its handlers is more than may be held (${cap})`);
  }

  /** If pieces are sent back on their own, the first piece or the end brings the answer to the headers with it. */
  #streamed(isEnd: boolean, isFirst: boolean): ContinueAnswer {
    const pieces = this.#pieces;
    const { work } = this.#body;
    if (this.#held === undefined) {
      // After an override Envoy may have the whole body, and keeps the trailers until the first piece has an answer.
      const { override, mode } = this.#plan;
      work.body = { pieces, answers: isFirst && override !== undefined && mode === "FULL_DUPLEX_STREAMED" };
      return work;
    }
    const body = { pieces };
    if (!isEnd && pieces.length === 0) return { kind: "continue", headerChanges: [], body };
    return { kind: "continue", headerChanges: [], body, prelude: { headers: this.#release(isEnd) } };
  }

  /** Makes the answer to the headers, including what the body handlers want to change in them. */
  #release(isEnd: boolean): AnswerPrelude["headers"] {
    const held = this.#held;
    if (held === undefined) return undefined;
    this.#held = undefined;
    this.#body.takesHeaderChanges = false;
    const { work } = this.#body;
    if (this.#everChanged || (!isEnd && this.#plan.changes)) dropHeaders(work, BODY_HEADERS);
    const answer: ContinueAnswer = {
      kind: "continue",
      headerChanges: [...held.headerChanges, ...work.headerChanges],
      clearRouteCache: held.clearRouteCache || work.clearRouteCache,
      modeOverride: held.modeOverride,
      ...mergeMetadata(held, work),
    };
    this.#body.work = new BodyWork(work.message, work.exchange);
    return { message: held.message, answer };
  }
}
