import { HeldBytes } from "./held-bytes.ts";
import { plainBytes } from "./owned-bytes.ts";
import { type Split, type SplitFailure, type Splitter, splitChunks } from "./splitter.ts";

/** How bytes become text. */
export interface Utf8Options {
  /** What is not UTF-8 becomes U+FFFD (`replace`, default), or ends it with failure `invalid_utf8` (`fail`). */
  readonly invalid?: "replace" | "fail" | undefined;
  /** A byte order mark at the beginning is dropped (`drop`, default), or is a character like others (`keep`). */
  readonly byteOrderMark?: "drop" | "keep" | undefined;
}

/**
 * Text of a body in UTF-8, chunk by chunk: a character cut by a chunk's end comes with the next one. An item is the text
 * that a chunk completed, never an empty one.
 *
 * @example
 * const decoder = createUtf8Decoder({ invalid: "fail" });
 * decoder.push(Uint8Array.of(0xc3)).items; // []
 * decoder.push(Uint8Array.of(0xa9)).items; // ["é"]
 */
export function createUtf8Decoder(options: Utf8Options = {}): Splitter<string> {
  return new Utf8Decoder(options);
}

/** The text of a body, as {@link createUtf8Decoder} gives it; throws a `SplitError`. */
export function utf8Text(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: Utf8Options = {},
): AsyncGenerator<string, void, undefined> {
  return splitChunks(chunks, createUtf8Decoder(options));
}

class Utf8Decoder implements Splitter<string> {
  readonly #decoder: InstanceType<typeof TextDecoder>;
  readonly #dropsMark: boolean;
  readonly #held = new HeldBytes();
  #began = false;
  #failed = false;

  constructor({ invalid = "replace", byteOrderMark = "drop" }: Utf8Options) {
    this.#decoder = new TextDecoder("utf-8", { fatal: invalid === "fail", ignoreBOM: true });
    this.#dropsMark = byteOrderMark === "drop";
  }

  push(chunk: Uint8Array): Split<string> {
    if (this.#failed) return { items: [], failure: invalidUtf8(plainBytes(chunk)) };
    const bytes = this.#held.join(chunk);
    const end = completeLength(bytes);
    this.#held.keep(bytes, end);
    return this.#decode(bytes, end);
  }

  end(): Split<string> {
    const bytes = this.#held.take();
    return this.#decode(bytes, bytes.length);
  }

  #decode(bytes: Uint8Array<ArrayBuffer>, end: number): Split<string> {
    if (end === 0) return { items: [], failure: undefined };
    try {
      let text = this.#decoder.decode(bytes.subarray(0, end));
      if (!this.#began && this.#dropsMark && text.startsWith("\ufeff")) text = text.slice(1);
      this.#began = true;
      return { items: text === "" ? [] : [text], failure: undefined };
    } catch {
      this.#failed = true;
      this.#held.take();
      return { items: [], failure: invalidUtf8(bytes) };
    }
  }
}

function invalidUtf8(rest: Uint8Array<ArrayBuffer>): SplitFailure {
  return { code: "invalid_utf8", rest };
}

/**
 * The length without a character at the end that may be cut: a leading byte and fewer continuation bytes than it asks
 * for. Whether those are good is left to the decoder.
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
