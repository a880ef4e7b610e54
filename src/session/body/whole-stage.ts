import type { Coding } from "../../bodies/coding/content-encoding.ts";
import { decodeBody, encodeBody } from "../../bodies/coding/whole-body.ts";
import { parseJson } from "../../bodies/json/parse-json.ts";
import { parsedJsonBytes } from "../../bodies/json/parsed-memory.ts";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import type { BodyCap } from "../../memory/body-budget.ts";
import { type AnyBodyHandler, DEFAULT_MAX_BYTES } from "../../processor/body-handler.ts";
import type { Fault } from "../../protocol/fault.ts";
import type { BodyPhase } from "../../protocol/phase.ts";
import {
  charsetOf,
  decodeText,
  encodeText,
  encodingOf,
  type TextEncoding,
  withUtf8Charset,
} from "../../text/charset.ts";
import { after, type BodyBytes, type BodyStage, type Emit, emitAll, type Soon, type StageEnd } from "./body-stage.ts";
import { CoderBudget, type FullBudget, HeldRoom } from "./held-room.ts";
import type { StageContext } from "./stage-context.ts";

type WholeHandler = Extract<AnyBodyHandler, { read: "whole" | "text" | "json" }>;

/** The options of a {@link WholeStage}. */
interface WholeStageOptions {
  readonly handler: WholeHandler;
  readonly phase: BodyPhase;
  readonly codings: readonly Coding[];
  readonly charset: BodyCharset;
}

/** The input of a handler, and the output if the handler changes nothing. */
interface GivenBody {
  readonly body: BodyBytes;
  /** The body as it came, with its codings. */
  readonly bytes: BodyBytes;
  readonly complete: boolean;
  readonly emit: Emit;
}

/** The value that a body was read as, or why the handler cannot get it: a fault, or a full budget. */
type ReadBody = { readonly value: unknown } | { readonly fault: StageEnd } | { readonly full: FullBudget };

/** Holds a body until it is complete, and gives it to its handler as bytes, text or JSON. */
export class WholeStage implements BodyStage {
  readonly #context: StageContext;
  readonly #handler: WholeHandler;
  readonly #phase: BodyPhase;
  readonly #codings: readonly Coding[];
  readonly #charset: BodyCharset;
  readonly #held: HeldRoom;
  /** Created for a body with codings. */
  #coders: CoderBudget | undefined;
  #parts: BodyBytes[] = [];
  #passes = false;
  #closed = false;

  constructor(context: StageContext, { handler, phase, codings, charset }: WholeStageOptions) {
    this.#context = context;
    this.#held = new HeldRoom(context.budget);
    this.#handler = handler;
    this.#phase = phase;
    this.#codings = codings;
    this.#charset = charset;
  }

  get withholds(): boolean {
    return this.#held.bytes > 0;
  }

  push(piece: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
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
    if (bytes.length === 0) return undefined;
    const ended =
      this.#codings.length === 0
        ? this.#handle({ body: bytes, bytes, complete, emit })
        : this.#handleDecoded(bytes, emit);
    return after(ended, (end) => {
      this.#held.give();
      return end;
    });
  }

  close(): void {
    this.#closed = true;
    this.#parts = [];
    this.#held.close();
    this.#context.close();
  }

  get #maxBytes(): number {
    return this.#handler.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  #overLimit(cap: BodyCap, emit: Emit): Soon<StageEnd | undefined> {
    if (this.#handler.overLimit !== "pass") return this.#context.overLimit(cap, this.#maxBytes);
    this.#context.passes(cap);
    this.#passes = true;
    const parts = this.#parts;
    this.#parts = [];
    this.#held.give();
    return emitAll(parts, emit);
  }

  #handleDecoded(bytes: BodyBytes, emit: Emit): Soon<StageEnd | undefined> {
    let cap: BodyCap = "body";
    const hold = (count: number) => {
      // The output is no longer needed.
      if (this.#closed) return false;
      const full = this.#held.take(count);
      cap = full ?? cap;
      return full === undefined;
    };
    this.#coders ??= new CoderBudget(this.#context.budget);
    const room = this.#coders;
    const decoded = decodeBody(bytes, this.#codings, { maxBytes: this.#maxBytes, hold, room });
    if (decoded instanceof Promise) {
      this.#context.pending();
      // The decoder may wait for its turn in the thread pool, and hold the bytes, after the body is closed.
      this.#held.useUntil(decoded);
    }
    return after(decoded, (body) => {
      if (this.#closed) return undefined;
      if (body.kind === "bytes") return this.#handle({ body: body.bytes, bytes, complete: true, emit });
      const isTooLarge = body.code === "no_room" || body.code === "too_large" || body.code === "ratio";
      if (body.code === "no_room") cap = room.full ?? cap;
      if (!isTooLarge || (cap === "body" && this.#handler.overLimit !== "pass")) return this.#context.codingFault(body);
      this.#parts = [bytes];
      return this.#overLimit(cap, emit);
    });
  }

  #handle(given: GivenBody): Soon<StageEnd | undefined> {
    if (given.body.length === 0) return given.emit(given.bytes);
    const { tx } = this.#context;
    const value = this.#read(given);
    if ("fault" in value) return value.fault;
    if ("full" in value) {
      this.#parts = [given.bytes];
      return this.#overLimit(value.full, given.emit);
    }
    this.#context.work.replacement = undefined;
    const handle = this.#handler.handle as (value: unknown, tx: unknown) => unknown;
    return this.#context.call(
      () => handle.call(this.#handler, value.value, tx),
      (outcome) => this.#handled(outcome, given),
      this.#held,
    );
  }

  #handled(outcome: unknown, given: GivenBody): Soon<StageEnd | undefined> {
    const { work } = this.#context;
    const source = new SourceText(given, this.#charset, this.#handler.read);
    work.sourceText = () => source.json;
    const end = this.#context.fold(outcome, this.#phase);
    const { replacement } = work;
    work.replacement = undefined;
    work.sourceText = undefined;
    if (end !== undefined) return end;
    const { bytes, emit } = given;
    if (replacement instanceof Uint8Array) {
      this.#charset.replaced(this.#context);
      return this.#replace(replacement, emit);
    }
    if (replacement === undefined || (replacement === source.text && this.#charset.isUnchanged(this.#context)))
      return bytes.length > 0 ? emit(bytes) : undefined;
    const change = { text: replacement, encoding: source.encoding, original: source.text };
    const encoded = this.#charset.encode(change, this.#context);
    return encoded instanceof Uint8Array ? this.#replace(encoded, emit) : encoded;
  }

  /** Reads the input of the handler, and counts it as lent: texts and values need memory besides the bytes. */
  #read({ body, complete }: GivenBody): ReadBody {
    const { read } = this.#handler;
    if (read === "whole") return { value: { bytes: body, complete } };
    const encoding = this.#charset.encodingOf(body, read === "json");
    const text = decodeText(body, encoding);
    if (text === undefined)
      return {
        fault: this.#context.fault("body_undecodable", `the body is not text in its charset (${encoding.name})`),
      };
    const full = this.#context.lend(() => (read === "text" ? textBytes(text) : parsedJsonBytes(body)));
    if (full !== undefined) return { full };
    if (read === "text") return { value: text };
    const parsed = parseJson(text);
    return "problem" in parsed
      ? { fault: this.#context.fault("body_not_json", `the body ${parsed.problem}`) }
      : { value: parsed.value };
  }

  #replace(replacement: Uint8Array, emit: Emit): Soon<StageEnd | undefined> {
    this.#context.changed();
    if (this.#codings.length === 0) return replacement.length > 0 ? emit(plainBytes(replacement)) : undefined;
    const room = new CoderBudget(this.#context.budget);
    const encoded = encodeBody(replacement, this.#codings, room);
    if (encoded instanceof Promise) this.#context.pending();
    return after(encoded, (body) =>
      body.kind === "failed" ? this.#context.codingFault(body, room) : emit(body.bytes),
    );
  }
}

/** The memory that a text needs: V8 gives each character 2 bytes if one of them is not latin1. */
function textBytes(text: string): number {
  return /[^\0-\xff]/.test(text) ? 2 * text.length : text.length;
}

/**
 * The text of the body that a handler got. It is decoded again when it is needed, so that only the bytes are held while
 * a handler runs.
 */
class SourceText {
  readonly encoding: TextEncoding;
  readonly #given: GivenBody;
  readonly #isJson: boolean;
  #text: { readonly decoded: string | undefined } | undefined;

  constructor(given: GivenBody, charset: BodyCharset, read: WholeHandler["read"]) {
    this.#given = given;
    this.#isJson = read === "json";
    this.encoding = charset.encodingOf(given.body, read !== "text");
  }

  /** Undefined if the bytes are not text. */
  get text(): string | undefined {
    this.#text ??= { decoded: decodeText(this.#given.body, this.encoding) };
    return this.#text.decoded;
  }

  /** Undefined if the text is not JSON or not complete. */
  get json(): string | undefined {
    if (this.#isJson) return this.text;
    if (!this.#given.complete || this.text === undefined) return undefined;
    return "value" in parseJson(this.text) ? this.text : undefined;
  }
}

/** A new text and the encoding and text that it replaces. */
export interface TextChange {
  readonly text: string;
  /** The encoding of the old text. */
  readonly encoding: TextEncoding;
  /** The old text; undefined if the bytes were not text. */
  readonly original: string | undefined;
}

const NO_BYTES = new Uint8Array(0);
const encoder = new TextEncoder();

/** The charset of one body, which its handlers read and write in order. */
export class BodyCharset {
  /** The charset parameter of `content-type`, with the changes made so far. */
  #label: string | undefined;

  constructor(contentType: string | undefined) {
    this.#label = charsetOf(contentType);
  }

  /** Returns the encoding of the body's bytes. */
  encodingOf(bytes: Uint8Array, isJson: boolean): TextEncoding {
    return encodingOf(bytes, this.#label, { json: isJson });
  }

  /** True if no handler has changed the charset in `content-type`. */
  isUnchanged(context: StageContext): boolean {
    return charsetOf(context.contentType) === this.#label;
  }

  /** A handler replaced the body with its own bytes. Their encoding is what `content-type` says now. */
  replaced(context: StageContext): void {
    this.#label = charsetOf(context.contentType);
  }

  /**
   * Encodes a text as `content-type` says now. A text that cannot be written in that charset is written in UTF-8, and
   * `content-type` is changed if that is still possible.
   */
  encode({ text, encoding, original }: TextChange, context: StageContext): BodyBytes | Fault {
    const { contentType } = context;
    const label = charsetOf(contentType);
    const target = label === this.#label ? encoding : encodingOf(NO_BYTES, label, { json: false });
    const bytes = encodeText(text, target, original);
    if (bytes !== undefined) {
      this.#label = label;
      return bytes;
    }
    if (!context.takesHeaderChanges)
      return context.fault(
        "headers_already_sent",
        `the new text cannot be written in the charset of the body (${target.name}), and content-type was already sent`,
      );
    this.#label = "utf-8";
    context.work.change({
      op: "set",
      name: "content-type",
      value: encoder.encode(withUtf8Charset(contentType ?? "text/plain")),
    });
    return encoder.encode(text);
  }
}
