import { BytePattern, type BytePatternOptions } from "./byte-pattern.ts";
import { HeldBytes } from "./held-bytes.ts";
import { plainBytes } from "./owned-bytes.ts";
import { type Split, type Splitter, splitChunks } from "./splitter.ts";

/** What takes a match's place; a function gets it as UTF-8 text. A string is taken as it is, `$1` means nothing. */
export type Replacement = string | Uint8Array | ((match: string) => string | Uint8Array);

/** What is replaced, and by what. */
export interface ReplaceOptions extends BytePatternOptions {
  readonly replacement: Replacement;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/**
 * Replaces in a body that comes in chunks, also what a chunk's end cuts in two: the same bytes as if it had been done in
 * the whole body. Items are pieces of the new body, mostly views of the chunks.
 *
 * - Strings are found as their UTF-8 bytes, at one place the first of the list that fits. Held back is what may be the
 *   beginning of one, mostly nothing.
 * - A RegExp is matched against bytes, not characters: `.` is one byte, and letters beyond ASCII are several. It holds
 *   back `maxMatchBytes` bytes, and forgets what it looked at farther behind or ahead. Matches of nothing are left out.
 *   One that turns out longer is failure `match_too_long`; what has to be longer to match at all is not found. V8
 *   backtracks: nested repetitions such as `(a+)+` cost time that grows exponentially, here as anywhere.
 *
 * @throws {TypeError} For a pattern that cannot be used, see `BytePatternOptions`.
 *
 * @example
 * const mask = replaceAcross({ pattern: /\b\d{13,19}\b/, maxMatchBytes: 19, replacement: "[card]" });
 * mask.push(utf8("card 41111111")).items; // what is sure already
 * mask.push(utf8("11111111, ok")).items; // "card [card]..."
 */
export function replaceAcross(options: ReplaceOptions): Splitter<Uint8Array<ArrayBuffer>> {
  return new Replacer(options);
}

/** The new body, piece by piece, as {@link replaceAcross} makes it; throws a `SplitError`. */
export function replacedChunks(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: ReplaceOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  return splitChunks(chunks, replaceAcross(options));
}

class Replacer implements Splitter<Uint8Array<ArrayBuffer>> {
  readonly #pattern: BytePattern;
  readonly #replacement: Replacement;
  readonly #held = new HeldBytes();
  /** How much of what is held has gone out, and is there for what looks behind. */
  #sent = 0;
  #failed = false;

  constructor({ replacement, ...pattern }: ReplaceOptions) {
    this.#pattern = new BytePattern(pattern);
    this.#replacement = typeof replacement === "string" ? encoder.encode(replacement) : replacement;
  }

  push(chunk: Uint8Array): Split<Uint8Array<ArrayBuffer>> {
    if (this.#failed) return { items: [], failure: { code: "match_too_long", rest: plainBytes(chunk) } };
    return this.#replace(this.#held.join(chunk), false);
  }

  end(): Split<Uint8Array<ArrayBuffer>> {
    return this.#replace(this.#held.take(), true);
  }

  #replace(bytes: Uint8Array<ArrayBuffer>, isEnd: boolean): Split<Uint8Array<ArrayBuffer>> {
    const items: Uint8Array<ArrayBuffer>[] = [];
    const send = (piece: Uint8Array<ArrayBuffer>) => {
      if (piece.length > 0) items.push(piece);
    };
    // As latin1 each byte is one character.
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    let at = this.#sent;
    const sureEnd = isEnd ? bytes.length : this.#pattern.sureEnd(text, at);
    for (let match = this.#pattern.find(text, at); match !== undefined; match = this.#pattern.find(text, at)) {
      const { start, end } = match;
      if (start >= sureEnd) break;
      send(bytes.subarray(at, start));
      if (end - start > this.#pattern.maxMatchBytes) return this.#fail(items, bytes.slice(start));
      send(this.#replaced(bytes.subarray(start, end)));
      at = end;
    }
    if (at < sureEnd) {
      send(bytes.subarray(at, sureEnd));
      at = sureEnd;
    }
    if (!isEnd) {
      const keepFrom = Math.max(0, at - this.#pattern.contextBytes);
      this.#held.keep(bytes, keepFrom);
      this.#sent = at - keepFrom;
    }
    return { items, failure: undefined };
  }

  #replaced(match: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const replacement =
      typeof this.#replacement === "function" ? this.#replacement(decoder.decode(match)) : this.#replacement;
    return typeof replacement === "string" ? encoder.encode(replacement) : plainBytes(replacement);
  }

  #fail(items: Uint8Array<ArrayBuffer>[], rest: Uint8Array<ArrayBuffer>): Split<Uint8Array<ArrayBuffer>> {
    this.#failed = true;
    this.#held.keep(EMPTY, 0);
    return { items, failure: { code: "match_too_long", rest } };
  }
}
