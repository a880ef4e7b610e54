import type { Coding } from "../../bodies/content-encoding.ts";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import { decodeBody, encodeBody } from "../../bodies/whole-body.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import type { AnyBodyHandler } from "../body-handler.ts";
import type { BodyCap } from "./body-budget.ts";
import type { BodyStage, Bytes, Emit, StageEnd } from "./body-stage.ts";
import { HeldRoom } from "./held-room.ts";
import { after, type Soon } from "./soon.ts";
import type { StageHost } from "./stage-host.ts";

/** What a body is held up to where its handler does not say. */
export const DEFAULT_MAX_BYTES = 4 << 20;

type WholeHandler = Extract<AnyBodyHandler, { read: "whole" | "text" | "json" }>;

const decoder = new TextDecoder();

/** Holds a body until it is all there, and gives it to its handler as bytes, text or JSON. */
export class WholeStage implements BodyStage {
  readonly #host: StageHost;
  readonly #handler: WholeHandler;
  readonly #phase: BodyPhase;
  readonly #codings: readonly Coding[];
  readonly #held: HeldRoom;
  #parts: Bytes[] = [];
  #passes = false;

  constructor(
    host: StageHost,
    {
      handler,
      phase,
      codings,
    }: { readonly handler: WholeHandler; readonly phase: BodyPhase; readonly codings: readonly Coding[] },
  ) {
    this.#host = host;
    this.#held = new HeldRoom(host.budget);
    this.#handler = handler;
    this.#phase = phase;
    this.#codings = codings;
  }

  get withholds(): boolean {
    return this.#held.bytes > 0;
  }

  push(piece: Bytes, emit: Emit): Soon<StageEnd | undefined> {
    if (this.#passes) return emit(piece);
    if (piece.length === 0) return undefined;
    this.#parts.push(piece);
    const cap = this.#held.bytes + piece.length > this.#maxBytes ? "body" : this.#held.take(piece.length);
    return cap && this.#overLimit(cap, emit);
  }

  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined> {
    if (this.#passes) return undefined;
    if (!complete && (this.#handler.read !== "whole" || this.#codings.length > 0))
      return this.#overLimit("envoy", emit);
    const bytes = joinBytes(this.#parts);
    this.#parts = [];
    const ended =
      this.#codings.length === 0 ? this.#handle(bytes, { bytes, complete, emit }) : this.#handleDecoded(bytes, emit);
    return after(ended, (end) => {
      this.#held.give();
      return end;
    });
  }

  close(): void {
    this.#parts = [];
    this.#held.give();
  }

  get #maxBytes(): number {
    return this.#handler.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  #overLimit(cap: BodyCap, emit: Emit): Soon<StageEnd | undefined> {
    if (this.#handler.overLimit !== "pass") return this.#host.overLimit(cap, this.#maxBytes);
    this.#host.passes(cap);
    this.#passes = true;
    const parts = this.#parts;
    this.close();
    return emitAll(parts, 0, emit);
  }

  #handleDecoded(bytes: Bytes, emit: Emit): Soon<StageEnd | undefined> {
    let cap: BodyCap = "body";
    const hold = (count: number) => {
      const full = this.#held.take(count);
      cap = full ?? cap;
      return full === undefined;
    };
    const decoded = decodeBody(bytes, this.#codings, { maxBytes: this.#maxBytes, hold });
    if (decoded instanceof Promise) this.#host.pending();
    return after(decoded, (body) => {
      if (body.kind === "bytes") return this.#handle(body.bytes, { bytes, complete: true, emit });
      const isTooLarge = body.code === "no_room" || body.code === "too_large" || body.code === "ratio";
      if (!isTooLarge || (cap === "body" && this.#handler.overLimit !== "pass")) return this.#host.codingFault(body);
      this.#parts = [bytes];
      return this.#overLimit(cap, emit);
    });
  }

  #handle(
    body: Bytes,
    { bytes, complete, emit }: { readonly bytes: Bytes; readonly complete: boolean; readonly emit: Emit },
  ): Soon<StageEnd | undefined> {
    const { tx } = this.#host;
    const value = this.#read(body, complete);
    if ("fault" in value) return value.fault;
    this.#host.work.replacement = undefined;
    const handle = this.#handler.handle as (value: unknown, tx: unknown) => unknown;
    return this.#host.call(
      () => handle.call(this.#handler, value.value, tx),
      (outcome) => {
        const end = this.#host.fold(outcome, this.#phase);
        if (end !== undefined) return end;
        const { replacement } = this.#host.work;
        this.#host.work.replacement = undefined;
        if (replacement === undefined) return bytes.length > 0 ? emit(bytes) : undefined;
        return this.#replace(replacement, emit);
      },
    );
  }

  #read(body: Bytes, complete: boolean): { readonly value: unknown } | { readonly fault: StageEnd } {
    if (this.#handler.read === "whole") return { value: { bytes: body, complete } };
    const text = decoder.decode(body);
    if (this.#handler.read === "text") return { value: text };
    try {
      return { value: JSON.parse(text) };
    } catch {
      return { fault: this.#host.fault("body_not_json", "the body is no JSON") };
    }
  }

  #replace(replacement: Uint8Array, emit: Emit): Soon<StageEnd | undefined> {
    this.#host.changed();
    if (this.#codings.length === 0) return replacement.length > 0 ? emit(plainBytes(replacement)) : undefined;
    const encoded = encodeBody(replacement, this.#codings);
    if (encoded instanceof Promise) this.#host.pending();
    return after(encoded, (body) => (body.kind === "failed" ? this.#host.codingFault(body) : emit(body.bytes)));
  }
}

function emitAll(parts: readonly Bytes[], from: number, emit: Emit): Soon<StageEnd | undefined> {
  for (let at = from; at < parts.length; at++) {
    const end = emit(parts[at] as Bytes);
    if (end instanceof Promise) return end.then((ended) => ended ?? emitAll(parts, at + 1, emit));
    if (end !== undefined) return end;
  }
  return undefined;
}
