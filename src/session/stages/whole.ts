import type { Coding } from "../../bodies/coding/content-encoding.ts";
import { decodeBody, encodeBody } from "../../bodies/coding/whole-body.ts";
import { parseJson } from "../../bodies/json/parse-json.ts";
import { parsedJsonBytes } from "../../bodies/json/parsed-memory.ts";
import { joinBytes, plainBytes } from "../../bodies/owned-bytes.ts";
import type { BodyCap } from "../../memory/body-budget.ts";
import { CoderBudget, HeldRoom } from "../../memory/held-room.ts";
import { type AnyBodyHandler, DEFAULT_MAX_BYTES } from "../../processor/body-handler.ts";
import { decodeText, type TextEncoding } from "../../text/charset.ts";
import type { BodyCharset } from "./body-charset.ts";
import type { HandlerCall } from "./handler-call.ts";
import type { BodyBytes, BodyStage, Soon, Step } from "./step.ts";
import { after, changedTo, endedBy, NOTHING, unchanged } from "./step.ts";

type WholeHandler = Extract<AnyBodyHandler, { read: "whole" | "text" | "json" }>;

/** The input of a handler, and the output if the handler changes nothing. */
interface GivenBody {
  readonly body: BodyBytes;
  /** The body as it came, with its codings. */
  readonly bytes: BodyBytes;
  readonly complete: boolean;
}

/** Holds a body until it is complete, and gives it to its handler as bytes, text or JSON. */
export class WholeStage implements BodyStage {
  readonly #call: HandlerCall;
  readonly #handler: WholeHandler;
  readonly #codings: readonly Coding[];
  readonly #charset: BodyCharset;
  readonly #held: HeldRoom;
  readonly #maxBytes: number;
  #parts: BodyBytes[] = [];
  #passes = false;

  constructor(call: HandlerCall, handler: WholeHandler, codings: readonly Coding[], charset: BodyCharset) {
    this.#call = call;
    this.#handler = handler;
    this.#codings = codings;
    this.#charset = charset;
    this.#held = new HeldRoom(call.body.budget);
    this.#maxBytes = handler.maxBytes ?? DEFAULT_MAX_BYTES;
  }

  get withholds(): boolean {
    return this.#held.bytes > 0;
  }

  push(piece: BodyBytes): Step {
    if (this.#passes) return unchanged(piece);
    if (piece.length === 0) return NOTHING;
    this.#parts.push(piece);
    const cap = this.#held.bytes + piece.length > this.#maxBytes ? "body" : this.#held.take(piece.length);
    return cap === undefined ? NOTHING : this.#overLimit(cap, this.#parts);
  }

  end(complete: boolean): Soon<Step> {
    if (this.#passes) return NOTHING;
    const needsRest = this.#handler.read !== "whole" || this.#codings.length > 0;
    if (!complete && needsRest) return this.#overLimit("envoy", this.#parts);
    const bytes = joinBytes(this.#parts);
    this.#parts = [];
    if (bytes.length === 0) return NOTHING;
    const step =
      this.#codings.length === 0 ? this.#handle({ body: bytes, bytes, complete }) : this.#handleDecoded(bytes);
    // The body stays counted until the next stage has taken it.
    return after(step, (last) => ({ ...last, more: () => this.#release() }));
  }

  close(): void {
    this.#parts = [];
    this.#held.close();
    this.#call.close();
  }

  #release(): Step {
    this.#held.give();
    return NOTHING;
  }

  #overLimit(cap: BodyCap, parts: readonly BodyBytes[]): Step {
    const { faults } = this.#call;
    if (this.#handler.overLimit !== "pass") return endedBy(faults.overLimit(cap, this.#maxBytes));
    faults.passes(cap);
    this.#passes = true;
    this.#parts = [];
    this.#held.give();
    return { ...NOTHING, pieces: parts };
  }

  #handleDecoded(bytes: BodyBytes): Soon<Step> {
    const { body: current, faults } = this.#call;
    let cap: BodyCap = "body";
    const hold = (count: number) => {
      // The output is no longer needed.
      if (current.isClosed) return false;
      const full = this.#held.take(count);
      cap = full ?? cap;
      return full === undefined;
    };
    const room = new CoderBudget(current.budget);
    const decoded = decodeBody(bytes, this.#codings, { maxBytes: this.#maxBytes, hold, room });
    // The decoder may wait for its turn in the thread pool, and hold the bytes, after the body is closed.
    if (decoded instanceof Promise) this.#held.useUntil(decoded);
    return after(decoded, (body) => {
      if (current.isClosed) return NOTHING;
      if (body.kind === "bytes") return this.#handle({ body: body.bytes, bytes, complete: true });
      const isTooLarge = body.code === "no_room" || body.code === "too_large" || body.code === "ratio";
      if (body.code === "no_room") cap = room.full ?? cap;
      if (!isTooLarge || (cap === "body" && this.#handler.overLimit !== "pass"))
        return endedBy(faults.codingFault(body));
      return this.#overLimit(cap, [bytes]);
    });
  }

  #handle(given: GivenBody): Soon<Step> {
    if (given.body.length === 0) return unchanged(given.bytes);
    const read = this.#read(given);
    if ("pieces" in read) return read;
    const handle = this.#handler.handle as (value: unknown, tx: unknown) => unknown;
    return this.#call.run(
      () => handle.call(this.#handler, read.value, this.#call.tx),
      (returned) => this.#handled(returned, given),
      this.#held,
    );
  }

  /**
   * Reads the input of the handler, and counts it as lent: texts and values need memory besides the bytes. Returns a
   * step if the handler cannot get it.
   */
  #read({ body, bytes, complete }: GivenBody): { readonly value: unknown } | Step {
    const { read } = this.#handler;
    const { faults } = this.#call;
    if (read === "whole") return { value: { bytes: body, complete } };
    const encoding = this.#charset.encodingOf(body, read === "json");
    const text = decodeText(body, encoding);
    if (text === undefined)
      return endedBy(faults.fault("body_undecodable", `the body is not text in its charset (${encoding.name})`));
    const full = this.#call.lend(() => (read === "text" ? textBytes(text) : parsedJsonBytes(body)));
    if (full !== undefined) return this.#overLimit(full, [bytes]);
    if (read === "text") return { value: text };
    const parsed = parseJson(text);
    return "problem" in parsed ? endedBy(faults.fault("body_not_json", `the body ${parsed.problem}`)) : parsed;
  }

  #handled(returned: unknown, given: GivenBody): Soon<Step> {
    const source = new SourceText(given, this.#charset, this.#handler.read);
    const effects = this.#call.fold(returned, this.#call.body.phase, () => source.json);
    if (effects.kind !== "body") return endedBy(effects);
    const { replacement } = effects;
    if (replacement instanceof Uint8Array) {
      this.#charset.replaced(this.#call);
      return this.#replace(replacement);
    }
    if (replacement === undefined || (replacement === source.text && this.#charset.isUnchanged(this.#call)))
      return given.bytes.length > 0 ? unchanged(given.bytes) : NOTHING;
    const change = { text: replacement, encoding: source.encoding, original: source.text };
    const encoded = this.#charset.encode(change, this.#call);
    return encoded instanceof Uint8Array ? this.#replace(encoded) : endedBy(encoded);
  }

  #replace(replacement: Uint8Array): Soon<Step> {
    if (this.#codings.length === 0) return changedTo(replacement.length > 0 ? [plainBytes(replacement)] : []);
    const room = new CoderBudget(this.#call.body.budget);
    return after(encodeBody(replacement, this.#codings, room), (body) =>
      body.kind === "failed" ? endedBy(this.#call.faults.codingFault(body, room)) : changedTo([body.bytes]),
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
