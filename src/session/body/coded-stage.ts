import { type CodingFailure, codingFailure } from "../../bodies/coding/coding-failure.ts";
import type { Deliver } from "../../bodies/coding/coding-stage.ts";
import type { CodingStream } from "../../bodies/coding/coding-stream.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyBytes, BodyStage, Emit, Soon, StageEnd } from "./body-stage.ts";
import type { CoderBudget } from "./held-room.ts";
import type { StageHost } from "./stage-host.ts";

/** What a {@link CodedStage} is made of. */
export interface CodedStageOptions {
  /** The stage that sees the body decoded. */
  readonly inner: BodyStage;
  readonly decoder: CodingStream;
  /** Encodes what the inner stage gives on. Absent: it goes on as it is. */
  readonly encoder?: CodingStream | undefined;
  /** Counts the memory of both. */
  readonly room: CoderBudget;
  /** The inner stage only looks: what came goes on as it was. */
  readonly looks: boolean;
  /** What becomes of a body that cannot be encoded anew. */
  readonly overLimit: "reject" | "pass" | undefined;
}

/** Shows a stage the body without its codings, and puts them on again behind it. */
export class CodedStage implements BodyStage {
  readonly #host: StageHost;
  readonly #options: CodedStageOptions;
  #began = false;
  /** The decoder was refused, and what the handler is not shown passes. */
  #passes = false;
  /** The inner stage was given bytes. */
  #isShown = false;
  /** What ended the body while it was on its way through a coding. */
  #end: StageEnd | undefined;

  constructor(host: StageHost, options: CodedStageOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** Once a coding was put on anew, its original can be no part of the same body. */
  get withholds(): boolean {
    return (this.#began && !this.#options.looks) || this.#options.inner.withholds;
  }

  /** What would be encoded anew ends where the rest of the original goes on: no recipient could decode that. */
  cut(): StageEnd | "pass" | undefined {
    const { looks, overLimit } = this.#options;
    if (looks) return undefined;
    if (overLimit !== "pass") return this.#host.overLimit("envoy", undefined);
    this.#host.passes("envoy");
    return "pass";
  }

  async push(piece: BodyBytes, emit: Emit): Promise<StageEnd | undefined> {
    if (piece.length === 0) return undefined;
    if (this.#passes) return emit(piece);
    const { decoder, looks } = this.#options;
    const isFirst = !this.#began;
    this.#began = true;
    this.#host.pending();
    const failure = await decoder.pushTo(piece, this.#inward(emit));
    const isRefused = failure?.code === "no_room" || failure?.code === "busy";
    if (isRefused && this.#mayPass(isFirst)) return emit(piece);
    if (!looks) this.#host.changed();
    const end = this.#ended(failure);
    return end ?? (looks ? await emit(piece) : undefined);
  }

  async end(emit: Emit, complete: boolean): Promise<StageEnd | undefined> {
    const { decoder, inner, encoder, looks } = this.#options;
    // An empty body has no coding, whatever its headers say.
    if (!this.#began || this.#passes) return undefined;
    if (!looks) this.#host.changed();
    this.#host.pending();
    // The beginning of a body that Envoy cut has no end to be checked.
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

  /** Lets the body go on as it came, if that is wanted, it keeps its codings, and nothing of it was shown or held back. */
  #mayPass(isFirst: boolean): boolean {
    const { looks, overLimit, decoder, encoder, room } = this.#options;
    const keepsCodings = looks || (encoder !== undefined && isFirst && !this.#isShown);
    if (overLimit !== "pass" || !keepsCodings) return false;
    // No room is full if the turn of the decoder came too late: all transactions are too much then, too.
    this.#host.passes(room.full ?? "total");
    this.#passes = true;
    this.#began = false;
    decoder.close();
    return true;
  }

  /** To the inner stage, and from there outward. */
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
    return failure && this.#host.codingFault(failure, this.#options.room);
  }
}
