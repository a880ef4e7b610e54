import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import type { AnyBodyHandler } from "../body-handler.ts";
import { nameKind } from "../name-kind.ts";
import type { BodyStage, Bytes, Emit, StageEnd } from "./body-stage.ts";
import { ByteLimit } from "./byte-limit.ts";
import { after, type Soon } from "./soon.ts";
import type { StageHost } from "./stage-host.ts";

type ChunksHandler = Extract<AnyBodyHandler, { read: "chunks" }>;

/** Gives a body to its handler chunk by chunk, each to be changed or left. */
export class ChunkStage implements BodyStage {
  readonly withholds = false;
  readonly #host: StageHost;
  readonly #handler: ChunksHandler;
  readonly #phase: BodyPhase;
  readonly #limit: ByteLimit;

  constructor(host: StageHost, handler: ChunksHandler, phase: BodyPhase) {
    this.#host = host;
    this.#handler = handler;
    this.#phase = phase;
    this.#limit = new ByteLimit(host, handler);
  }

  push(piece: Bytes, emit: Emit): Soon<StageEnd | undefined> {
    if (piece.length === 0) return undefined;
    const excess = this.#limit.take(piece.length);
    if (excess !== undefined) return excess === "pass" ? emit(piece) : excess;
    return this.#host.call(
      () => this.#handler.chunk(piece, this.#host.tx as never),
      (outcome) => {
        if (outcome === undefined) return emit(piece);
        if (!(outcome instanceof Uint8Array))
          return this.#host.fault("invalid_effect", `chunk() returned ${nameKind(outcome)}, must be bytes or nothing`);
        this.#host.changed();
        return outcome.length > 0 ? emit(plainBytes(outcome)) : undefined;
      },
    );
  }

  end(emit: Emit): Soon<StageEnd | undefined> {
    const { end } = this.#handler;
    if (end === undefined || this.#limit.exceeded) return undefined;
    return this.#host.call(
      () => end.call(this.#handler, this.#host.tx as never),
      (outcome) => this.#host.fold(outcome, `${this.#phase}End`) ?? emitTail(this.#host, emit),
    );
  }

  close(): void {}
}

/** Gives on what was added behind the last chunk. */
export function emitTail(host: StageHost, emit: Emit): Soon<StageEnd | undefined> {
  const [first, ...rest] = host.work.tail.splice(0);
  if (first === undefined) return undefined;
  host.changed();
  const emitted = first.length > 0 ? emit(plainBytes(first)) : undefined;
  return after(emitted, (end) => {
    host.work.tail.push(...rest);
    return end ?? emitTail(host, emit);
  });
}
