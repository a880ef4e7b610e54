import type { BodyCap } from "../../memory/body-budget.ts";
import type { BodyOptions } from "../../processor/body-handler.ts";
import type { StageEnd } from "./body-stage.ts";
import type { StageHost } from "./stage-host.ts";

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
