import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import type { BodyStage, Bytes, Emit, StageEnd } from "./body-stage.ts";
import { ByteLimit } from "./byte-limit.ts";
import { after, type Soon } from "./soon.ts";
import type { StageHost } from "./stage-host.ts";

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

  push(piece: Bytes, emit: Emit): Soon<StageEnd | undefined> {
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
