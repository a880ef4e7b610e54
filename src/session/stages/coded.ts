import { type HandedOver, handOver } from "../../bodies/coding/coded-chunks.ts";
import type { CodingFailure } from "../../bodies/coding/coding-failure.ts";
import type { CodedPieces, CodingStream } from "../../bodies/coding/coding-stream.ts";
import type { Coding } from "../../bodies/coding/content-encoding.ts";
import { createDecoder } from "../../bodies/coding/decoder.ts";
import { createEncoder } from "../../bodies/coding/encoder.ts";
import { CoderBudget } from "../../memory/held-room.ts";
import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { HandlerCall } from "./handler-call.ts";
import type { BodyBytes, BodyStage, Soon, StageEnd, Step } from "./step.ts";
import { changedTo, endedBy, NOTHING, stepsOf, unchanged } from "./step.ts";

/** The codings of a body. */
export interface BodyCodings {
  readonly codings: readonly Coding[];
  /** False if the output is sent on decoded. */
  readonly encodes: boolean;
}

/** Steps of a decoded body, and the failure of its decoder. */
type CodedSteps = AsyncGenerator<Step, CodingFailure | undefined>;

/** Decodes a body for the stage of a handler, and encodes the output of that stage. */
export class CodedStage implements BodyStage {
  readonly #call: HandlerCall;
  readonly #inner: BodyStage;
  /** The handler only reads. The original bytes are sent on. */
  readonly #looks: boolean;
  /** The handler allows a body to pass that cannot be decoded or encoded. */
  readonly #mayPass: boolean;
  /** Counts the memory of decoder and encoder. */
  readonly #room: CoderBudget;
  readonly #decoder: CodingStream;
  readonly #encoder: CodingStream | undefined;
  #began = false;
  /** There was no room for a decoder, and the body passes without its handler. */
  #passes = false;
  /** The inner stage got bytes. */
  #isShown = false;

  constructor(call: HandlerCall, inner: BodyStage, handler: AnyBodyHandler, { codings, encodes }: BodyCodings) {
    this.#call = call;
    this.#inner = inner;
    this.#looks = handler.read === "inspect";
    this.#mayPass = handler.overLimit === "pass";
    this.#room = new CoderBudget(call.body.budget);
    // A body that may pass is counted after the decoder.
    const maxBytes = (this.#mayPass ? undefined : handler.maxBytes) ?? Number.MAX_SAFE_INTEGER;
    this.#decoder = createDecoder(codings, { maxBytes }, this.#room);
    this.#encoder = encodes && !this.#looks ? createEncoder(codings, { room: this.#room }) : undefined;
  }

  /** The original bytes do not fit to a body that was encoded again. */
  get withholds(): boolean {
    return (this.#began && !this.#looks) || this.#inner.withholds;
  }

  /** The new encoding would end where the rest of the original goes on, and no recipient could decode that. */
  cut(): StageEnd | "pass" | undefined {
    if (this.#looks) return undefined;
    if (!this.#mayPass) return this.#call.faults.overLimit("envoy");
    this.#call.faults.passes("envoy");
    return "pass";
  }

  push(piece: BodyBytes): Soon<Step> {
    if (piece.length === 0) return NOTHING;
    return this.#passes ? unchanged(piece) : stepsOf(this.#pushed(piece));
  }

  end(complete: boolean): Soon<Step> {
    // An empty body has no coding, whatever its headers say.
    return this.#began && !this.#passes ? stepsOf(this.#ended(complete)) : NOTHING;
  }

  lostTail(): Soon<Fault | undefined> {
    return this.#inner.lostTail?.();
  }

  close(): void {
    this.#decoder.close();
    this.#encoder?.close();
    this.#inner.close();
  }

  async *#pushed(piece: BodyBytes): AsyncGenerator<Step, Step> {
    const isFirst = !this.#began;
    this.#began = true;
    const failure = yield* this.#handled(handOver((deliver) => this.#decoder.pushTo(piece, deliver)));
    if ((failure?.code === "no_room" || failure?.code === "busy") && this.#letPass(isFirst)) return unchanged(piece);
    if (failure !== undefined) return this.#failed(failure);
    return this.#looks ? unchanged(piece) : changedTo([]);
  }

  async *#ended(complete: boolean): AsyncGenerator<Step, Step> {
    // The beginning of a body that Envoy cut has no end to check.
    let failure = complete ? yield* this.#handled(handOver((deliver) => this.#decoder.endTo(deliver))) : undefined;
    if (!complete) this.#decoder.close();
    failure ??= yield* this.#encoded(this.#inner.end(complete));
    if (failure !== undefined) return this.#failed(failure);
    if (this.#encoder !== undefined) return this.#coded(await this.#encoder.end());
    return this.#looks ? NOTHING : changedTo([]);
  }

  /**
   * Lets the body pass as it came, if the handler allows it, the body keeps its codings, and nothing of it was shown or
   * held back.
   */
  #letPass(isFirst: boolean): boolean {
    const keepsCodings = this.#looks || (this.#encoder !== undefined && isFirst && !this.#isShown);
    if (!this.#mayPass || !keepsCodings) return false;
    // No room is full if the decoder waited too long for its turn. Then the bodies of all transactions are too many as
    // well.
    this.#call.faults.passes(this.#room.full ?? "total");
    this.#passes = true;
    this.#began = false;
    this.#decoder.close();
    return true;
  }

  /** Passes decoded bytes through the inner stage and the encoder. */
  async *#handled(decoded: HandedOver): CodedSteps {
    for (;;) {
      const { done, value } = await decoded.next();
      if (done || this.#call.body.isClosed) return done ? value : undefined;
      this.#isShown = true;
      const failure = yield* this.#encoded(this.#inner.push(value));
      if (failure !== undefined) return failure;
    }
  }

  /** Encodes all output of the inner stage. */
  async *#encoded(first: Soon<Step>): CodedSteps {
    for (let step = await first; ; step = await step.more()) {
      for (const piece of this.#looks ? [] : step.pieces)
        yield this.#encoder === undefined ? changedTo([piece]) : this.#coded(await this.#encoder.push(piece));
      if (step.end !== undefined) yield endedBy(step.end);
      if (step.more === undefined) return undefined;
    }
  }

  #coded(coded: CodedPieces | CodingFailure): Step {
    return coded.kind === "pieces" ? changedTo(coded.pieces) : this.#failed(coded);
  }

  #failed(failure: CodingFailure): Step {
    return endedBy(this.#call.faults.codingFault(failure, this.#room));
  }
}
