import type { BodyOptions } from "../body-handler.ts";
import type { StageEnd } from "./body-stage.ts";
import type { StageHost } from "./stage-host.ts";

/** Counts the bytes that a handler sees, against its `maxBytes`. */
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

  /** Counts a piece. Undefined: give it to the handler; `pass`: it passes unseen; else it ends the body. */
  take(bytes: number): StageEnd | "pass" | undefined {
    const { maxBytes, overLimit } = this.#options;
    this.#bytes += bytes;
    if (maxBytes === undefined || (this.#bytes <= maxBytes && !this.exceeded)) return undefined;
    if (overLimit !== "pass") return this.#host.overLimit("body", maxBytes);
    if (!this.exceeded) this.#host.passes("body");
    this.exceeded = true;
    return "pass";
  }
}
