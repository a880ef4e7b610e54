import type { Deliver } from "../../bodies/coding/coder.ts";
import { type CodingFailure, codingFailure } from "../../bodies/coding/coding-failure.ts";
import type { CodingStream } from "../../bodies/coding/coding-stream.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyBytes, BodyStage, Emit, Soon, StageEnd } from "./body-stage.ts";
import type { CoderBudget } from "./held-room.ts";
import type { StageContext } from "./stage-context.ts";

/** The options of a {@link CodedStage}. */
export interface CodedStageOptions {
  /** The stage that gets the decoded body. */
  readonly inner: BodyStage;
  readonly decoder: CodingStream;
  /** Encodes the output of the inner stage. If absent, the output is sent on decoded. */
  readonly encoder?: CodingStream | undefined;
  /** Counts the memory of decoder and encoder. */
  readonly room: CoderBudget;
  /** The inner stage only reads. The original bytes are sent on. */
  readonly looks: boolean;
  /** What happens with a body that cannot be encoded again. */
  readonly overLimit: "reject" | "pass" | undefined;
}

/** Decodes a body for another stage, and encodes the output of that stage. */
export class CodedStage implements BodyStage {
  readonly #context: StageContext;
  readonly #options: CodedStageOptions;
  #began = false;
  /** There was no room for a decoder, and the body passes without its handler. */
  #passes = false;
  /** The inner stage got bytes. */
  #isShown = false;
  /** What ended the body inside a coder. */
  #end: StageEnd | undefined;

  constructor(context: StageContext, options: CodedStageOptions) {
    this.#context = context;
    this.#options = options;
  }

  /** The original bytes do not fit to a body that was encoded again. */
  get withholds(): boolean {
    return (this.#began && !this.#options.looks) || this.#options.inner.withholds;
  }

  /** The new encoding would end where the rest of the original goes on, and no recipient could decode that. */
  cut(): StageEnd | "pass" | undefined {
    const { looks, overLimit } = this.#options;
    if (looks) return undefined;
    if (overLimit !== "pass") return this.#context.overLimit("envoy", undefined);
    this.#context.passes("envoy");
    return "pass";
  }

  async push(piece: BodyBytes, emit: Emit): Promise<StageEnd | undefined> {
    if (piece.length === 0) return undefined;
    if (this.#passes) return emit(piece);
    const { decoder, looks } = this.#options;
    const isFirst = !this.#began;
    this.#began = true;
    this.#context.pending();
    const failure = await decoder.pushTo(piece, this.#inward(emit));
    const isRefused = failure?.code === "no_room" || failure?.code === "busy";
    if (isRefused && this.#mayPass(isFirst)) return emit(piece);
    if (!looks) this.#context.changed();
    const end = this.#ended(failure);
    return end ?? (looks ? await emit(piece) : undefined);
  }

  async end(emit: Emit, complete: boolean): Promise<StageEnd | undefined> {
    const { decoder, inner, encoder, looks } = this.#options;
    // An empty body has no coding, whatever its headers say.
    if (!this.#began || this.#passes) return undefined;
    if (!looks) this.#context.changed();
    this.#context.pending();
    // The beginning of a body that Envoy cut has no end to check.
    const failure = complete ? await decoder.endTo(this.#inward(emit)) : undefined;
    if (!complete) decoder.close();
    const end = this.#ended(failure) ?? (await inner.end(this.#outward(emit), complete));
    if (end !== undefined || encoder === undefined) return end;
    return this.#ended(await encoder.endTo(this.#deliver(emit)));
  }

  lostTail(): Soon<Fault | undefined> {
    return this.#options.inner.lostTail?.();
  }

  close(): void {
    const { decoder, inner, encoder } = this.#options;
    decoder.close();
    encoder?.close();
    inner.close();
  }

  /**
   * Lets the body pass as it came, if the handler allows it, the body keeps its codings, and nothing of it was shown or
   * held back.
   */
  #mayPass(isFirst: boolean): boolean {
    const { looks, overLimit, decoder, encoder, room } = this.#options;
    const keepsCodings = looks || (encoder !== undefined && isFirst && !this.#isShown);
    if (overLimit !== "pass" || !keepsCodings) return false;
    // No room is full if the decoder waited too long for its turn. Then the bodies of all transactions are too many as
    // well.
    this.#context.passes(room.full ?? "total");
    this.#passes = true;
    this.#began = false;
    decoder.close();
    return true;
  }

  /** Passes decoded bytes to the inner stage, and its output to the encoder. */
  #inward(emit: Emit): Deliver {
    const outward = this.#outward(emit);
    return (piece) => {
      this.#isShown = true;
      return this.#settle(this.#options.inner.push(piece, outward));
    };
  }

  #outward(emit: Emit): Emit {
    const { looks, encoder } = this.#options;
    if (looks) return () => undefined;
    if (encoder === undefined) return emit;
    return async (piece) => this.#ended(await encoder.pushTo(piece, this.#deliver(emit)));
  }

  #deliver(emit: Emit): Deliver {
    return (piece) => this.#settle(emit(piece));
  }

  #settle(end: Soon<StageEnd | undefined>): Promise<CodingFailure | undefined> | undefined {
    if (end === undefined) return undefined;
    return Promise.resolve(end).then((ended) => {
      if (ended === undefined) return undefined;
      this.#end = ended;
      return codingFailure("closed", "identity");
    });
  }

  #ended(failure: CodingFailure | undefined): StageEnd | undefined {
    if (this.#end !== undefined) return this.#end;
    return failure && this.#context.codingFault(failure, this.#options.room);
  }
}
