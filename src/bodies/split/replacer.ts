import { checkedBytes, escapedText } from "../../text/escaped-text.ts";
import { joinBytes, plainBytes } from "../owned-bytes.ts";
import { BytePattern, type BytePatternOptions } from "./byte-pattern.ts";
import { HeldBytes, holdingIn, roomOf, withRoom } from "./held-bytes.ts";
import { type BodyChunks, SplitEnd, type SplitErrorCode } from "./splitter.ts";

/**
 * The replacement of a match. A function gets the match as UTF-8 text, in which a byte that is not UTF-8 is a lone surrogate
 * that is written as the same byte. A string is used as it is: `$1` has no special meaning.
 */
export type Replacement = string | Uint8Array | ((match: string) => string | Uint8Array);

/** The pattern and its replacement. */
export interface ReplaceOptions extends BytePatternOptions {
  readonly replacement: Replacement;
}

const EMPTY = new Uint8Array(0);

/** Replaces in a body that comes in chunks. One for each body: make it in `state`. */
export interface Replacer {
  /**
   * Takes a chunk, and returns the part of the new body that is certain, which may be empty. It is mostly a view of the chunk.
   *
   * @throws {SplitError} `match_too_long`, after everything before it was returned. Each later chunk comes back in another error.
   */
  push(chunk: Uint8Array): Uint8Array<ArrayBuffer>;
  /**
   * Returns the rest of the new body.
   *
   * @throws {SplitError} `match_too_long`.
   */
  end(): Uint8Array<ArrayBuffer>;
}

/**
 * Replaces in a body that comes in chunks, also matches that the end of a chunk cuts in two. The result has the same bytes as
 * a replacement in the whole body.
 *
 * - Strings are found as their UTF-8 bytes. At each offset the first matching string of the list wins. Bytes that may be
 *   the beginning of a string are held back; mostly there are none.
 * - A RegExp is matched against bytes, not characters: `.` is one byte, and letters beyond ASCII are several. It holds
 *   back `maxMatchBytes` bytes, and does not look farther back or ahead. Empty matches are left out.
 *   A longer match is a `SplitError`, `match_too_long`; a text that must be longer to match at all is not found. V8
 *   backtracks: nested repetitions such as `(a+)+` cost time that grows exponentially, as everywhere.
 *
 * @throws {TypeError} For a pattern that cannot be used, see `BytePatternOptions`.
 *
 * @example
 * state: () => ({ mask: createReplacer({ pattern: /\b\d{13,19}\b/, maxMatchBytes: 19, replacement: "[card]" }) }),
 * responseBody: {
 *   read: "chunks",
 *   chunk: (bytes, { state }) => state.mask.push(bytes),
 *   end: ({ state }) => appendChunk(state.mask.end()),
 * },
 */
export function createReplacer(options: ReplaceOptions): Replacer {
  return new ChunkReplacer(options);
}

/**
 * The new body, piece by piece, as {@link createReplacer} makes it.
 *
 * @throws {SplitError} `match_too_long`.
 *
 * @example
 * responseBody: { read: "stream", handle: (chunks) => replacedChunks(chunks, { pattern: "http://", replacement: "https://" }) },
 */
export function replacedChunks(
  chunks: BodyChunks,
  options: ReplaceOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  return withRoom(replacedIn(chunks, options), roomOf(chunks));
}

async function* replacedIn(
  chunks: BodyChunks,
  options: ReplaceOptions,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const replacer = createReplacer(options);
  const room = roomOf(chunks);
  for await (const chunk of chunks) {
    const bytes = holdingIn(room, () => replacer.push(chunk));
    if (bytes.length > 0) yield bytes;
  }
  const rest = replacer.end();
  if (rest.length > 0) yield rest;
}

class ChunkReplacer implements Replacer {
  readonly #pattern: BytePattern;
  readonly #replacement: Replacement;
  readonly #held = new HeldBytes();
  /** How many of the held bytes were already returned, and are kept for lookbehind. */
  #sent = 0;
  readonly #failure = new SplitEnd();

  constructor({ replacement, ...pattern }: ReplaceOptions) {
    this.#pattern = new BytePattern(pattern);
    this.#replacement = typeof replacement === "string" ? checkedBytes(replacement) : replacement;
  }

  push(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    this.#failure.check(chunk);
    return this.#replace(this.#held.join(chunk), false);
  }

  end(): Uint8Array<ArrayBuffer> {
    this.#failure.checkEnd();
    return this.#replace(this.#held.take(), true);
  }

  #replace(bytes: Uint8Array<ArrayBuffer>, isEnd: boolean): Uint8Array<ArrayBuffer> {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    const send = (piece: Uint8Array<ArrayBuffer>) => {
      if (piece.length > 0) pieces.push(piece);
    };
    // As latin1 each byte is one character.
    const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
    let at = this.#sent;
    const sureEnd = isEnd ? bytes.length : this.#pattern.sureEnd(text, at);
    for (let match = this.#pattern.find(text, at); match !== undefined; match = this.#pattern.find(text, at)) {
      const { start, end } = match;
      if (start >= sureEnd) break;
      send(bytes.subarray(at, start));
      if (end - start > this.#pattern.maxMatchBytes) return this.#fail(joinBytes(pieces), bytes.slice(start));
      send(this.#replaced(bytes.subarray(start, end)));
      at = end;
    }
    if (at < sureEnd) {
      send(bytes.subarray(at, sureEnd));
      at = sureEnd;
    }
    if (!isEnd) {
      const keepFrom = Math.max(0, at - this.#pattern.contextBytes);
      // Thrown at once: until the next chunk all of it would be held without being counted. So nothing is returned.
      if (!this.#held.keep(bytes, keepFrom)) return this.#fail(EMPTY, bytes.slice(this.#sent), "no_room");
      this.#sent = at - keepFrom;
    }
    return joinBytes(pieces);
  }

  #replaced(match: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
    const replacement =
      typeof this.#replacement === "function" ? this.#replacement(escapedText(match)) : this.#replacement;
    return typeof replacement === "string" ? checkedBytes(replacement) : plainBytes(replacement);
  }

  #fail(
    given: Uint8Array<ArrayBuffer>,
    rest: Uint8Array<ArrayBuffer>,
    code: SplitErrorCode = "match_too_long",
  ): Uint8Array<ArrayBuffer> {
    this.#held.keep(EMPTY, 0);
    this.#failure.fail(code, rest, given);
    return given;
  }
}
