import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { BodyCap } from "../../memory/body-budget.ts";
import type { AnyBodyHandler, BodyOptions } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import { nameKind } from "../../text/value-kind.ts";
import { after, type BodyBytes, type BodyStage, type Emit, emitAll, type Soon, type StageEnd } from "./body-stage.ts";
import type { StageHost } from "./stage-host.ts";

type ChunksHandler = Extract<AnyBodyHandler, { read: "chunks" }>;

/** Gives a body to its handler chunk by chunk, each to be changed or left. */
export class ChunkStage implements BodyStage {
  /** Its handler changes the body, and may keep bytes of it for later: what is left is no part of the same body. */
  withholds = false;
  readonly #host: StageHost;
  readonly #handler: ChunksHandler;
  readonly #phase: BodyPhase;
  readonly #limit: ByteLimit;
  #began = false;

  constructor(host: StageHost, handler: ChunksHandler, phase: BodyPhase) {
    this.#host = host;
    this.#handler = handler;
    this.#phase = phase;
    this.#limit = new ByteLimit(host, handler);
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    if (piece.length === 0) return undefined;
    this.#began = true;
    const { exceeded } = this.#limit;
    const excess = this.#limit.take(piece.length);
    // What the handler has kept so far comes before what passes.
    if (excess === "pass") return exceeded ? emit(piece) : after(this.#end(emit), (end) => end ?? emit(piece));
    if (excess !== undefined) return excess;
    return this.#host.call(
      () => this.#handler.chunk(piece, this.#host.tx as never),
      (outcome) => {
        if (outcome === undefined) return emit(piece);
        if (!(outcome instanceof Uint8Array))
          return this.#host.fault("invalid_effect", `chunk() returned ${nameKind(outcome)}, must be bytes or nothing`);
        this.#host.changed();
        this.withholds = true;
        return outcome.length > 0 ? emit(plainBytes(outcome)) : undefined;
      },
    );
  }

  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined> {
    return this.#limit.exceeded || !this.#began ? undefined : this.#end(tailEmit(this.#host, emit, complete));
  }

  #end(emit: Emit): Soon<StageEnd | undefined> {
    const { end } = this.#handler;
    if (end === undefined) return undefined;
    return this.#host.call(
      () => end.call(this.#handler, this.#host.tx as never),
      (outcome) => this.#host.fold(outcome, `${this.#phase}End`) ?? emitTail(this.#host, emit),
    );
  }

  lostTail(): Soon<Fault | undefined> {
    if (this.#limit.exceeded || !this.#began) return undefined;
    let isLost = false;
    const ended = this.#end(() => {
      isLost = true;
      return undefined;
    });
    return after(ended, (end) => (end !== undefined || isLost ? this.#host.lostTail() : undefined));
  }

  close(): void {
    this.#host.close();
  }
}

/** What leaves at the end of a body. Behind the beginning of one it would stand in the middle. */
export function tailEmit(host: StageHost, emit: Emit, complete: boolean): Emit {
  if (complete) return emit;
  return () => host.overLimit("envoy", undefined);
}

/** Gives on what was added behind the last chunk. */
export function emitTail(host: StageHost, emit: Emit): Soon<StageEnd | undefined> {
  const tail = host.work.tail.splice(0);
  if (tail.length === 0) return undefined;
  host.changed();
  return emitAll(tail.filter(({ length }) => length > 0).map(plainBytes), emit);
}

/** Counts the bytes that a handler sees against its `maxBytes`, and those it is given against what may be held. */
export class ByteLimit {
  readonly #host: StageHost;
  readonly #options: BodyOptions<never, never>;
  #bytes = 0;
  /** True once there were more than allowed: the rest passes unseen. */
  exceeded = false;

  constructor(host: StageHost, options: BodyOptions<never, never>) {
    this.#host = host;
    this.#options = options;
  }

  /** Counts a piece. Undefined: give it to the handler; `pass`: it passes unseen; otherwise it ends the body. */
  take(bytes: number): StageEnd | "pass" | undefined {
    const { maxBytes } = this.#options;
    this.#bytes += bytes;
    if (this.exceeded) return "pass";
    if (maxBytes !== undefined && this.#bytes > maxBytes) return this.#exceed("body");
    const cap = this.#host.lend(bytes);
    return cap && this.#exceed(cap);
  }

  #exceed(cap: BodyCap): StageEnd | "pass" {
    const { maxBytes, overLimit } = this.#options;
    if (overLimit !== "pass") return this.#host.overLimit(cap, maxBytes);
    this.#host.passes(cap);
    this.exceeded = true;
    return "pass";
  }
}

type InspectHandler = Extract<AnyBodyHandler, { read: "inspect" }>;

/** Shows a body to its handler chunk by chunk. */
export class InspectStage implements BodyStage {
  readonly withholds = false;
  readonly #host: StageHost;
  readonly #handler: InspectHandler;
  readonly #limit: ByteLimit;
  #began = false;

  constructor(host: StageHost, handler: InspectHandler) {
    this.#host = host;
    this.#handler = handler;
    this.#limit = new ByteLimit(host, handler);
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    const { chunk } = this.#handler;
    this.#began ||= piece.length > 0;
    const excess = this.#limit.take(piece.length);
    if (excess !== undefined) return excess === "pass" ? emit(piece) : excess;
    if (piece.length === 0 || chunk === undefined) return emit(piece);
    const looked = this.#host.call(
      () => chunk.call(this.#handler, piece, this.#host.tx as never),
      () => undefined,
    );
    return after(looked, (end) => end ?? emit(piece));
  }

  end(): Soon<StageEnd | undefined> {
    const { end } = this.#handler;
    if (end === undefined || this.#limit.exceeded || !this.#began) return undefined;
    return this.#host.call(
      () => end.call(this.#handler, this.#host.tx as never),
      (outcome) => this.#host.fold(outcome, "inspectEnd"),
    );
  }

  close(): void {
    this.#host.close();
  }
}
