import type { AnyBodyHandler } from "../../processor/body-handler.ts";
import { ByteLimit, type HandlerCall } from "./handler-call.ts";
import type { BodyBytes, BodyStage, Soon, Step } from "./step.ts";
import { endedBy, NOTHING, unchanged } from "./step.ts";

type InspectHandler = Extract<AnyBodyHandler, { read: "inspect" }>;

/** Shows a body to its handler chunk by chunk. */
export class InspectStage implements BodyStage {
  readonly withholds = false;
  readonly #call: HandlerCall;
  readonly #handler: InspectHandler;
  readonly #limit: ByteLimit;
  #began = false;

  constructor(call: HandlerCall, handler: InspectHandler) {
    this.#call = call;
    this.#handler = handler;
    this.#limit = new ByteLimit(call, handler);
  }

  push(piece: BodyBytes): Soon<Step> {
    const { chunk } = this.#handler;
    this.#began ||= piece.length > 0;
    const excess = this.#limit.take(piece.length);
    if (excess !== undefined && excess !== "pass") return endedBy(excess);
    if (excess === "pass" || piece.length === 0 || chunk === undefined) return unchanged(piece);
    return this.#call.run(
      () => chunk.call(this.#handler, piece, this.#call.tx as never),
      () => unchanged(piece),
    );
  }

  end(): Soon<Step> {
    const { end } = this.#handler;
    if (end === undefined || this.#limit.exceeded || !this.#began) return NOTHING;
    return this.#call.run(
      () => end.call(this.#handler, this.#call.tx as never),
      (returned) => {
        const effects = this.#call.fold(returned, "inspectEnd");
        return effects.kind === "body" ? NOTHING : endedBy(effects);
      },
    );
  }

  close(): void {
    this.#call.close();
  }
}
