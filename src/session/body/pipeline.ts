import type { HttpBody } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { ContinueAnswer } from "../../protocol/answers/answer.ts";
import { returnsBody } from "../../protocol/body-mode.ts";
import type { RunningBody } from "../../protocol/exchange/body-plan.ts";
import { type Fault, fault } from "../../protocol/fault.ts";
import type { BodyPhase, PhaseMessage } from "../../protocol/phase.ts";
import { BodyWork, type CurrentBody, emptyMessage } from "../stages/current-body.ts";
import { after, type BodyBytes, type Soon, type StageEnd, type Step } from "../stages/step.ts";
import { BodyOutput, type BodyOutputOptions } from "./body-output.ts";
import type { PlacedStage } from "./make-stages.ts";

/** A message with a piece of a body. */
export type BodyMessage = { readonly case: BodyPhase; readonly value: HttpBody };

/** The options of a {@link BodyPipeline}. */
export interface BodyPipelineOptions extends BodyOutputOptions {
  /** In the order in which bytes pass through them. */
  readonly stages: readonly PlacedStage[];
  /** The length of the body, if `content-length` says it. */
  readonly bodyBytes: number | undefined;
}

/**
 * Runs one body through its stages. It takes a message, passes its piece from stage to stage, and returns the answer
 * that is made of the output.
 */
export class BodyPipeline {
  readonly plan: RunningBody;
  readonly #body: CurrentBody;
  readonly #options: BodyPipelineOptions;
  readonly #output: BodyOutput;
  #stages: readonly PlacedStage[];
  #ended = false;
  #bytes = 0;
  #pieceCount = 0;
  #began = false;

  constructor(body: CurrentBody, options: BodyPipelineOptions) {
    this.plan = options.plan;
    this.#body = body;
    this.#options = options;
    this.#stages = options.stages;
    this.#output = new BodyOutput(body, options);
    body.takesHeaderChanges = options.plan.takesHeaderChanges;
  }

  /** True after the handlers have seen the end of the body. Later pieces pass unchanged. */
  get ended(): boolean {
    return this.#ended;
  }

  /** The headers that still wait for an answer. */
  get heldHeaders(): PhaseMessage | undefined {
    return this.#output.heldHeaders;
  }

  /**
   * True if Envoy sent nothing of a body in GRPC mode. In this mode Envoy sends a body only if it has all of it when
   * the headers are answered.
   */
  get isUnseen(): boolean {
    return this.plan.mode === "GRPC" && this.#pieceCount === 0 && !this.#ended && !this.#options.watched;
  }

  /** True if a message has only the beginning of the body, and the rest passes without being seen. */
  isBeginning({ value }: BodyMessage): boolean {
    if (this.#ended || this.plan.mode !== "BUFFERED_PARTIAL" || isLast(value)) return false;
    const bytes = this.#bytes + value.body.length;
    return bytes !== this.#options.bodyBytes && bytes > 0;
  }

  /** Takes the next piece of the body. */
  take(message: BodyMessage): Soon<ContinueAnswer | StageEnd> {
    const { value } = message;
    const complete = !this.isBeginning(message);
    this.#open(message);
    this.#body.messageCompressed = value.grpcMessageCompressed;
    this.#bytes += value.body.length;
    this.#pieceCount++;
    if (this.#ended) return this.#afterEnd(value);
    const isEnd = this.#isEnd(value);
    const refusal = (isEnd ? undefined : this.#unknowable()) ?? (complete ? undefined : this.#cut());
    if (refusal !== undefined) return refusal;
    const piece = plainBytes(value.body);
    const passed = this.#push(0, piece);
    const ended = isEnd ? after(passed, (end) => end ?? this.#finish(complete)) : passed;
    return ended instanceof Promise
      ? ended.then((end) => end ?? this.#answer(piece, isEnd))
      : (ended ?? this.#answer(piece, isEnd));
  }

  /**
   * Trailers came, which end the body. The rest of the body and the answer to the headers are sent before the answer to
   * the trailers.
   */
  finish(message: PhaseMessage): Soon<BodyWork | StageEnd> {
    this.#open(message);
    if (this.#ended) return this.#body.work;
    return after(this.#finish(true), (end) => {
      if (end !== undefined) return end;
      // Envoy accepts no body for a message that has trailers and no body.
      const hasPlace = returnsBody(this.plan.mode) && this.#pieceCount > 0;
      const refusal = hasPlace ? undefined : this.#output.refuseRest();
      if (refusal !== undefined) return refusal;
      this.#settle();
      return this.#output.beforeTrailers();
    });
  }

  /** Runs a complete body through the stages: the body that an effect put there instead of the original. */
  replace(bytes: BodyBytes): Soon<BodyBytes | StageEnd> {
    this.#open(emptyMessage(this.#body.phase));
    const ended = after(this.#push(0, bytes), (end) => end ?? this.#finish(true));
    return after(ended, (end) => end ?? this.#output.joined);
  }

  /**
   * The fault of handlers that did not see the end of the body, and would have added something there. Trailers hide
   * that end.
   */
  get lostTail(): Soon<Fault | undefined> {
    const { mode, end } = this.plan;
    const mayHideEnd = (mode === "STREAMED" || mode === undefined) && end === "eos";
    if (this.#ended || this.#pieceCount === 0 || !mayHideEnd || this.#options.watched) return undefined;
    return this.#lostTailFrom(0);
  }

  /** The body is no longer needed. */
  close(): void {
    this.#ended = true;
    this.#body.isClosed = true;
    this.#dropStages();
    this.#output.close();
  }

  #lostTailFrom(at: number): Soon<Fault | undefined> {
    const placed = this.#stages[at];
    if (placed === undefined) return undefined;
    return after(placed.stage.lostTail?.(), (lost) => lost ?? this.#lostTailFrom(at + 1));
  }

  #open(message: PhaseMessage): void {
    const keepsWork = this.heldHeaders !== undefined && this.#began;
    if (!keepsWork) this.#body.work = new BodyWork(message, this.#body.exchange);
    this.#began = true;
    this.#output.open();
  }

  #isEnd(value: HttpBody): boolean {
    const { end } = this.plan;
    const { bodyBytes = Number.POSITIVE_INFINITY } = this.#options;
    return isLast(value) || end === "message" || (end === "count" && this.#bytes >= bodyBytes);
  }

  /** Passes a piece through the stages, starting at one of them. Returns what ends the body. */
  #push(at: number, piece: BodyBytes): Soon<StageEnd | undefined> {
    const placed = this.#stages[at];
    return placed === undefined ? this.#output.add(piece) : this.#follow(at, placed.stage.push(piece));
  }

  /** Ends the stages, starting at one of them. */
  #finish(complete: boolean, at = 0): Soon<StageEnd | undefined> {
    this.#ended = true;
    const placed = this.#stages[at];
    if (placed === undefined) return undefined;
    return after(this.#follow(at, placed.stage.end(complete)), (end) => end ?? this.#finish(complete, at + 1));
  }

  /** Passes all output of a stage through the later stages. */
  #follow(at: number, first: Soon<Step>): Soon<StageEnd | undefined> {
    // Told once for each input: the time of a handler that waits would begin again each time.
    if (first instanceof Promise) this.#options.outlet.waitsFor(this.#body.direction, this.#stages[at]?.index ?? 0);
    for (let step = first; ; ) {
      if (step instanceof Promise) return this.#followLater(at, step);
      const passed = this.#passOn(at, step, 0);
      if (passed instanceof Promise) return this.#followLater(at, step, passed);
      const end = passed ?? step.end;
      if (end !== undefined) this.#dropStages();
      if (end !== undefined || step.more === undefined) return end;
      step = step.more();
    }
  }

  async #followLater(
    at: number,
    first: Soon<Step>,
    begun?: Promise<StageEnd | undefined>,
  ): Promise<StageEnd | undefined> {
    let passed: Soon<StageEnd | undefined> = begun;
    for (let step = first; ; ) {
      if (step instanceof Promise) step = await step;
      passed ??= this.#passOn(at, step, 0);
      const end = (passed instanceof Promise ? await passed : passed) ?? step.end;
      if (end !== undefined) this.#dropStages();
      if (end !== undefined || step.more === undefined || this.#body.isClosed) return end;
      passed = undefined;
      step = step.more();
    }
  }

  /** No stage gets any more of the body. In observability mode Envoy sends the rest even if a handler ended the body. */
  #dropStages(): void {
    for (const { stage } of this.#stages) stage.close();
    this.#stages = [];
  }

  /** Passes the pieces of a step to the next stage, starting at one of them. */
  #passOn(at: number, step: Step, from: number): Soon<StageEnd | undefined> {
    if (this.#body.isClosed) return undefined;
    if (step.changed) this.#output.isChanged = true;
    for (let index = from; index < step.pieces.length; index++) {
      const end = this.#push(at + 1, step.pieces[index] as BodyBytes);
      if (end instanceof Promise) return end.then((ended) => ended ?? this.#passOn(at, step, index + 1));
      if (end !== undefined) return end;
    }
    return undefined;
  }

  /** Only the beginning of the body comes. Some stages are skipped, and some end the body. */
  #cut(): StageEnd | undefined {
    const left: PlacedStage[] = [];
    for (const placed of this.#stages) {
      const end = placed.stage.cut?.();
      if (end === "pass") placed.stage.close();
      else if (end !== undefined) return end;
      else left.push(placed);
    }
    this.#stages = left;
    return undefined;
  }

  /**
   * A client that did not say its body mode may send the whole body in one piece. The first piece shows whether it
   * does.
   */
  #unknowable(): StageEnd | undefined {
    if (this.plan.mode !== undefined) return undefined;
    this.#body.takesHeaderChanges = false;
    if (!this.plan.needsWhole || this.plan.end === "count") return undefined;
    const why = "the client did not say its body mode, and sent a piece without the end of the body";
    return fault("body_end_unknowable", `${this.#body.phase}: ${why}`);
  }

  #afterEnd({ body }: HttpBody): ContinueAnswer | StageEnd {
    const { phase, work } = this.#body;
    if (this.plan.end === "count" && body.length > 0)
      return fault("body_end_unknowable", `${phase}: the body has more bytes than its content-length said`);
    work.body = returnsBody(this.plan.mode) ? { pieces: [] } : undefined;
    return work;
  }

  #answer(piece: BodyBytes, isEnd: boolean): ContinueAnswer | Fault {
    const { exchange, direction } = this.#body;
    exchange.withhold(direction, !this.#ended && this.#stages.some(({ stage }) => stage.withholds));
    if (isEnd) this.#settle();
    return this.#output.answer(piece, isEnd, this.#pieceCount === 1);
  }

  #settle(): void {
    this.#dropStages();
    this.#body.exchange.withhold(this.#body.direction, false);
  }
}

function isLast({ endOfStream, endOfStreamWithoutMessage }: HttpBody): boolean {
  return endOfStream || endOfStreamWithoutMessage;
}
