import type { CodingFailure } from "../../bodies/coding-failure.ts";
import type { Coding } from "../../bodies/content-encoding.ts";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import { type CodedBody, decodeBody, encodeBody } from "../../bodies/whole-body.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import type { AnyBodyHandler } from "../body-handler.ts";
import type { BodyStage, Bytes, Emit, StageEnd } from "./body-stage.ts";
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
  #parts: Bytes[] = [];
  #heldBytes = 0;
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
    this.#handler = handler;
    this.#phase = phase;
    this.#codings = codings;
  }

  get withholds(): boolean {
    return this.#heldBytes > 0;
  }

  push(piece: Bytes, emit: Emit): Soon<StageEnd | undefined> {
    if (this.#passes) return emit(piece);
    if (piece.length === 0) return undefined;
    this.#parts.push(piece);
    if (this.#heldBytes + piece.length > this.#maxBytes) return this.#overLimit("the body is larger", emit);
    if (!this.#host.budget.take(piece.length)) {
      if (this.#handler.overLimit === "pass") return this.#pass(emit);
      return this.#host.fault(
        "body_memory_exceeded",
        "the bodies that are held are as many bytes as the server may hold",
      );
    }
    this.#heldBytes += piece.length;
    return undefined;
  }

  end(emit: Emit, complete: boolean): Soon<StageEnd | undefined> {
    if (this.#passes) return undefined;
    if (!complete && (this.#handler.read !== "whole" || this.#codings.length > 0))
      return this.#overLimit("Envoy sent the beginning only (BUFFERED_PARTIAL)", emit);
    const bytes = joinBytes(this.#parts);
    this.#parts = [];
    const decoded = this.#codings.length === 0 ? bytes : this.#decode(bytes);
    const ended = after(decoded, (body) => ("kind" in body ? body : this.#handle(body, { bytes, complete, emit })));
    return after(ended, (end) => {
      this.#release();
      return end;
    });
  }

  close(): void {
    this.#parts = [];
    this.#release();
  }

  get #maxBytes(): number {
    return this.#handler.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  #overLimit(problem: string, emit: Emit): Soon<StageEnd | undefined> {
    if (this.#handler.overLimit === "pass") return this.#pass(emit);
    return this.#host.fault("body_too_large", `${problem} than allowed: maxBytes is ${this.#maxBytes}`);
  }

  #pass(emit: Emit): Soon<StageEnd | undefined> {
    this.#passes = true;
    const parts = this.#parts;
    this.close();
    return emitAll(parts, 0, emit);
  }

  #release(): void {
    this.#host.budget.give(this.#heldBytes);
    this.#heldBytes = 0;
  }

  #decode(bytes: Bytes): Soon<Bytes | StageEnd> {
    const decoded = decodeBody(bytes, this.#codings, { maxBytes: this.#maxBytes });
    if (decoded instanceof Promise) this.#host.pending();
    return after(decoded, (body) => this.#bytesOf(body));
  }

  #bytesOf(body: CodedBody | CodingFailure): Bytes | StageEnd {
    return body.kind === "failed" ? this.#host.codingFault(body) : body.bytes;
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
