import { plainBytes } from "../../bodies/owned-bytes.ts";
import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import { nameKind } from "../../text/value-kind.ts";
import { ByteLimit, type HandlerCall } from "./handler-call.ts";
import type { BodyBytes, BodyStage, Soon, Step } from "./step.ts";
import { after, changedTo, endedBy, followedBy, NOTHING, unchanged, withoutOutput } from "./step.ts";

type ChunksHandler = Extract<AnyBodyHandler, { read: "chunks" }>;

/** Gives a body to its handler chunk by chunk. The handler may change each chunk. */
export class ChunksStage implements BodyStage {
  /**
   * True after the handler changed the body. It may have kept bytes for later, so the rest is not a part of the same
   * body.
   */
  withholds = false;
  readonly #call: HandlerCall;
  readonly #handler: ChunksHandler;
  readonly #limit: ByteLimit;
  #began = false;

  constructor(call: HandlerCall, handler: ChunksHandler) {
    this.#call = call;
    this.#handler = handler;
    this.#limit = new ByteLimit(call, handler);
  }

  push(piece: BodyBytes): Soon<Step> {
    if (piece.length === 0) return NOTHING;
    this.#began = true;
    const { exceeded } = this.#limit;
    const excess = this.#limit.take(piece.length);
    // The bytes that the handler kept go first, before the rest that passes.
    if (excess === "pass")
      return exceeded ? unchanged(piece) : after(this.#callEnd(), (step) => followedBy(step, piece));
    if (excess !== undefined) return endedBy(excess);
    return this.#call.run(
      () => this.#handler.chunk(piece, this.#call.tx as never),
      (returned) => this.#returned(returned, piece),
    );
  }

  end(complete: boolean): Soon<Step> {
    if (this.#limit.exceeded || !this.#began) return NOTHING;
    const { faults } = this.#call;
    return after(this.#callEnd(), (step) => (complete ? step : withoutOutput(step, () => faults.overLimit("envoy"))));
  }

  lostTail(): Soon<Fault | undefined> {
    if (this.#limit.exceeded || !this.#began) return undefined;
    return after(this.#callEnd(), ({ end, pieces }) =>
      end !== undefined || pieces.length > 0 ? this.#call.faults.lostTail() : undefined,
    );
  }

  close(): void {
    this.#call.close();
  }

  #returned(returned: unknown, piece: BodyBytes): Step {
    if (returned === undefined) return unchanged(piece);
    if (!(returned instanceof Uint8Array)) {
      const problem = `chunk() returned ${nameKind(returned)}, must be bytes or nothing`;
      return endedBy(this.#call.faults.fault("invalid_effect", problem));
    }
    this.withholds = true;
    return changedTo(returned.length > 0 ? [plainBytes(returned)] : []);
  }

  #callEnd(): Soon<Step> {
    const { end } = this.#handler;
    if (end === undefined) return NOTHING;
    return this.#call.run(
      () => end.call(this.#handler, this.#call.tx as never),
      (returned) => {
        const effects = this.#call.fold(returned, `${this.#call.body.phase}End`);
        return effects.kind === "body" ? tailOf(effects.tail) : endedBy(effects);
      },
    );
  }
}

/** The bytes that effects added after the last chunk. */
export function tailOf(tail: readonly Uint8Array[], more?: Step["more"]): Step {
  return tail.length === 0 ? NOTHING : changedTo(tail.filter(({ length }) => length > 0).map(plainBytes), more);
}
