import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { BodyCap } from "../../memory/body-budget.ts";
import type { AnyBodyHandler, BodyOptions } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { nameKind } from "../../text/value-kind.ts";
import { after, type BodyBytes, type BodyStage, type Emit, emitAll, type Soon, type StageEnd } from "./body-stage.ts";
import type { StageContext } from "./stage-context.ts";

type ChunksHandler = Extract<AnyBodyHandler, { read: "chunks" }>;

/** Gives a body to its handler chunk by chunk. The handler may change each chunk. */
export class ChunkStage implements BodyStage {
  /**
   * True after the handler changed the body. It may have kept bytes for later, so the rest is not a part of the same
   * body.
   */
  withholds = false;
  readonly #context: StageContext;
  readonly #handler: ChunksHandler;
  readonly #phase: BodyPhase;
  readonly #limit: ByteLimit;
  #began = false;

  constructor(context: StageContext, handler: ChunksHandler, phase: BodyPhase) {
    this.#context = context;
    this.#handler = handler;
    this.#phase = phase;
    this.#limit = new ByteLimit(context, handler);
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    if (piece.length === 0) return undefined;
    this.#began = true;
    const { exceeded } = this.#limit;
    const excess = this.#limit.take(piece.length);
    // The bytes that the handler kept go first, before the rest that passes.
    if (excess === "pass") return exceeded ? emit(piece) : after(this.#end(emit), (end) => end ?? emit(piece));
    if (excess !== undefined) return excess;
    return this.#context.call(
      () => this.#handler.chunk(piece, this.#context.tx as never),
      (outcome) => {
        if (outcome === undefined) return emit(piece);
        if (!(outcome instanceof Uint8Array))
          return this.#context.fault(
            "invalid_effect",
            `chunk() returned ${nameKind(outcome)}, must be bytes or nothing`,
          );
        this.#context.changed();
        this.withholds = true;
        return outcome.length > 0 ? emit(plainBytes(outcome)) : undefined;
      },
    );
  }

  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined> {
    return this.#limit.exceeded || !this.#began ? undefined : this.#end(tailEmit(this.#context, emit, complete));
  }

  #end(emit: Emit): Soon<StageEnd | undefined> {
    const { end } = this.#handler;
    if (end === undefined) return undefined;
    return this.#context.call(
      () => end.call(this.#handler, this.#context.tx as never),
      (outcome) => this.#context.fold(outcome, `${this.#phase}End`) ?? emitTail(this.#context, emit),
    );
  }

  lostTail(): Soon<Fault | undefined> {
    if (this.#limit.exceeded || !this.#began) return undefined;
    let isLost = false;
    const ended = this.#end(() => {
      isLost = true;
      return undefined;
    });
    return after(ended, (end) => (end !== undefined || isLost ? this.#context.lostTail() : undefined));
  }

  close(): void {
    this.#context.close();
  }
}

/**
 * Returns the emit function for the end of a body. Bytes added after the beginning of a body would end up in its
 * middle.
 */
export function tailEmit(context: StageContext, emit: Emit, complete: boolean): Emit {
  if (complete) return emit;
  return () => context.overLimit("envoy", undefined);
}

/** Emits the bytes that effects added after the last chunk. */
export function emitTail(context: StageContext, emit: Emit): Soon<StageEnd | undefined> {
  const tail = context.work.tail.splice(0);
  if (tail.length === 0) return undefined;
  context.changed();
  return emitAll(tail.filter(({ length }) => length > 0).map(plainBytes), emit);
}

/**
 * Counts the bytes that a handler sees against its `maxBytes`, and the bytes that it gets against the memory budgets.
 */
export class ByteLimit {
  readonly #context: StageContext;
  readonly #options: BodyOptions<never, never>;
  #bytes = 0;
  /** True after the limit was exceeded. The rest passes unseen. */
  exceeded = false;

  constructor(context: StageContext, options: BodyOptions<never, never>) {
    this.#context = context;
    this.#options = options;
  }

  /**
   * Counts a piece. Undefined: give it to the handler. `pass`: it passes unseen. Otherwise the returned value ends the
   * body.
   */
  take(bytes: number): StageEnd | "pass" | undefined {
    const { maxBytes } = this.#options;
    this.#bytes += bytes;
    if (this.exceeded) return "pass";
    if (maxBytes !== undefined && this.#bytes > maxBytes) return this.#exceed("body");
    const cap = this.#context.lend(bytes);
    return cap && this.#exceed(cap);
  }

  #exceed(cap: BodyCap): StageEnd | "pass" {
    const { maxBytes, overLimit } = this.#options;
    if (overLimit !== "pass") return this.#context.overLimit(cap, maxBytes);
    this.#context.passes(cap);
    this.exceeded = true;
    return "pass";
  }
}

type InspectHandler = Extract<AnyBodyHandler, { read: "inspect" }>;

/** Shows a body to its handler chunk by chunk. */
export class InspectStage implements BodyStage {
  readonly withholds = false;
  readonly #context: StageContext;
  readonly #handler: InspectHandler;
  readonly #limit: ByteLimit;
  #began = false;

  constructor(context: StageContext, handler: InspectHandler) {
    this.#context = context;
    this.#handler = handler;
    this.#limit = new ByteLimit(context, handler);
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    const { chunk } = this.#handler;
    this.#began ||= piece.length > 0;
    const excess = this.#limit.take(piece.length);
    if (excess !== undefined) return excess === "pass" ? emit(piece) : excess;
    if (piece.length === 0 || chunk === undefined) return emit(piece);
    const looked = this.#context.call(
      () => chunk.call(this.#handler, piece, this.#context.tx as never),
      () => undefined,
    );
    return after(looked, (end) => end ?? emit(piece));
  }

  end(): Soon<StageEnd | undefined> {
    const { end } = this.#handler;
    if (end === undefined || this.#limit.exceeded || !this.#began) return undefined;
    return this.#context.call(
      () => end.call(this.#handler, this.#context.tx as never),
      (outcome) => this.#context.fold(outcome, "inspectEnd"),
    );
  }

  close(): void {
    this.#context.close();
  }
}
