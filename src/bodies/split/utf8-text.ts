import { HeldBytes } from "./held-bytes.ts";
import { type BodyChunks, SplitEnd } from "./splitter.ts";

/** How bytes become text. */
export interface Utf8Options {
  /**
   * Bytes that are not UTF-8 are a `SplitError`, `invalid_utf8` (`fail`, default), or become U+FFFD (`replace`). Use `replace`
   * only for text that is not written back.
   */
  readonly invalid?: "replace" | "fail" | undefined;
  /** A byte order mark at the beginning is dropped (`drop`, default), or is an ordinary character (`keep`). */
  readonly byteOrderMark?: "drop" | "keep" | undefined;
}

/** Text of a body that comes in chunks. Create one for each body, in `state`. */
export interface Utf8Decoder {
  /**
   * Takes a chunk, and returns the text that it completes, which may be empty.
   *
   * @throws {SplitError} `invalid_utf8`, with the chunk in its `rest`. Later chunks throw too.
   */
  push(chunk: Uint8Array): string;
  /**
   * Returns the rest: a character that the end of the body cuts off.
   *
   * @throws {SplitError} `invalid_utf8`.
   */
  end(): string;
}

/**
 * Decodes a body in UTF-8, chunk by chunk: a character cut by a chunk's end comes with the next one.
 *
 * @example
 * const decoder = createUtf8Decoder();
 * decoder.push(Uint8Array.of(0xc3)); // ""
 * decoder.push(Uint8Array.of(0xa9)); // "é"
 */
export function createUtf8Decoder(options: Utf8Options = {}): Utf8Decoder {
  return new ChunkDecoder(options);
}

/**
 * The text of a body, as {@link createUtf8Decoder} gives it: a piece for each chunk, never an empty one.
 *
 * @throws {SplitError} `invalid_utf8`.
 */
export async function* utf8Text(
  chunks: BodyChunks,
  options: Utf8Options = {},
): AsyncGenerator<string, void, undefined> {
  const decoder = createUtf8Decoder(options);
  for await (const chunk of chunks) {
    const text = decoder.push(chunk);
    if (text !== "") yield text;
  }
  const rest = decoder.end();
  if (rest !== "") yield rest;
}

class ChunkDecoder implements Utf8Decoder {
  readonly #decoder: InstanceType<typeof TextDecoder>;
  readonly #dropsMark: boolean;
  readonly #held = new HeldBytes();
  #began = false;
  readonly #failure = new SplitEnd();

  constructor({ invalid = "fail", byteOrderMark = "drop" }: Utf8Options) {
    this.#decoder = new TextDecoder("utf-8", { fatal: invalid !== "replace", ignoreBOM: true });
    this.#dropsMark = byteOrderMark === "drop";
  }

  push(chunk: Uint8Array): string {
    this.#failure.check(chunk);
    const bytes = this.#held.join(chunk);
    const end = completeLength(bytes);
    if (!this.#held.keep(bytes, end)) this.#failure.fail("no_room", bytes.slice(), "");
    return this.#decode(bytes, end);
  }

  end(): string {
    const bytes = this.#held.take();
    return this.#decode(bytes, bytes.length);
  }

  #decode(bytes: Uint8Array<ArrayBuffer>, end: number): string {
    if (end === 0) return "";
    let text = "";
    try {
      text = this.#decoder.decode(bytes.subarray(0, end));
    } catch {
      this.#held.take();
      this.#failure.fail("invalid_utf8", bytes, text);
    }
    const startsWithMark = !this.#began && this.#dropsMark && text.startsWith("\ufeff");
    this.#began = true;
    return startsWithMark ? text.slice(1) : text;
  }
}

/**
 * The length without a character at the end that may be cut: a leading byte and fewer continuation bytes than it
 * needs. The decoder checks whether they are valid.
 */
function completeLength(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] ?? 0;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const wanted = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return wanted > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
