import { checkedBytes, escapedText } from "../../text/escaped-text.ts";
import { HeldBytes } from "./held-bytes.ts";
import { LineEnds, type LineEndsOptions } from "./line-ends.ts";
import { type BodyChunks, SplitEnd, type SplitErrorCode, type Splitter, splitChunks } from "./splitter.ts";

/** How a body is cut into lines. */
export interface LineOptions extends LineEndsOptions {
  /** The longest line, without what ends it. Default 1 MiB. */
  readonly maxLineBytes?: number | undefined;
}

const EMPTY = new Uint8Array(0);

/** A line. All `raw` one after the other are the body, byte for byte. */
export class Line {
  /** The line with its line end: LF, CRLF, CR, or nothing at the end of the body. */
  readonly raw: Uint8Array<ArrayBuffer>;
  readonly #length: number;

  constructor(raw: Uint8Array<ArrayBuffer>, length: number) {
    this.raw = raw;
    this.#length = length;
  }

  /** The line without its line end. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.raw.subarray(0, this.#length);
  }

  /**
   * `bytes` as UTF-8, decoded at each call. A byte that is not UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which
   * `withText` and `formatLine` write as the same byte.
   */
  get text(): string {
    return escapedText(this.bytes);
  }

  /** The line end: empty for the last line of a body that ends without one. */
  get terminator(): "\n" | "\r\n" | "\r" | "" {
    const length = this.raw.length - this.#length;
    if (length === 2) return "\r\n";
    if (length === 0) return "";
    return this.raw.at(-1) === 13 ? "\r" : "\n";
  }

  /**
   * The line with another text and the same end.
   *
   * @throws {TypeError} As {@link formatLine}.
   */
  withText(text: string): Uint8Array<ArrayBuffer> {
    return formatLine(text, this.terminator);
  }
}

/**
 * Cuts a body into lines, chunk by chunk. A line that is longer than allowed is a {@link SplitError}, `line_too_long`.
 *
 * @example
 * const splitter = createLineSplitter();
 * splitter.push(utf8("a\r\nb")).map((line) => line.text); // ["a"]
 * splitter.end().map((line) => line.text); // ["b"]
 */
export function createLineSplitter(options: LineOptions = {}): Splitter<Line> {
  return new LineSplitter(options);
}

/**
 * The lines of a body, as {@link createLineSplitter} gives them.
 *
 * @throws {SplitError} `line_too_long`.
 *
 * @example
 * async *handle(chunks) {
 *   for await (const line of lines(chunks)) yield line.text.startsWith("#") ? line.raw : line.withText(changed(line.text));
 * }
 */
export function lines(chunks: BodyChunks, options: LineOptions = {}): AsyncGenerator<Line, void, undefined> {
  return splitChunks(chunks, createLineSplitter(options));
}

/**
 * Writes a line in UTF-8, with LF or the given line end after it. Bytes that `Line.text` has as lone surrogates are written
 * as they were.
 *
 * @throws {TypeError} For a text that contains LF: it would be several lines. A CR alone is an ordinary character.
 */
export function formatLine(text: string, terminator: "\n" | "\r\n" | "\r" | "" = "\n"): Uint8Array<ArrayBuffer> {
  if (text.includes("\n")) throw new TypeError("text: a line has no LF in it");
  return checkedBytes(text + terminator);
}

class LineSplitter implements Splitter<Line> {
  readonly #maxLineBytes: number;
  readonly #ends: LineEnds;
  readonly #held = new HeldBytes();
  readonly #failure = new SplitEnd();

  constructor({ maxLineBytes = 1 << 20, loneCarriageReturn }: LineOptions) {
    this.#maxLineBytes = maxLineBytes;
    this.#ends = new LineEnds({ loneCarriageReturn });
  }

  push(chunk: Uint8Array): readonly Line[] {
    this.#failure.check(chunk);
    const heldLength = this.#held.length;
    const bytes = this.#held.join(chunk);
    this.#ends.begin(bytes, heldLength, 0);
    const items: Line[] = [];
    let start = 0;
    while (this.#ends.next()) {
      const { contentEnd, end } = this.#ends;
      if (contentEnd - start > this.#maxLineBytes) return this.#fail(items, bytes.slice(start));
      items.push(new Line(bytes.subarray(start, end), contentEnd - start));
      start = end;
    }
    // A CR at the end belongs to the content only if no LF follows.
    const heldContent = bytes.length - start - Number(bytes.at(-1) === 13 && bytes.length > start);
    if (heldContent > this.#maxLineBytes) return this.#fail(items, bytes.slice(start));
    // Thrown at once: until the next chunk all of it would be held without being counted. So no item is returned.
    if (!this.#held.keep(bytes, start)) return this.#fail([], bytes.slice(), "no_room");
    return items;
  }

  end(): readonly Line[] {
    this.#failure.checkEnd();
    const bytes = this.#held.take();
    if (bytes.length === 0) return [];
    const length = this.#ends.contentLengthAtEnd(bytes);
    if (length > this.#maxLineBytes) return this.#fail([], bytes);
    return [new Line(bytes, length)];
  }

  #fail(
    items: readonly Line[],
    rest: Uint8Array<ArrayBuffer>,
    code: SplitErrorCode = "line_too_long",
  ): readonly Line[] {
    this.#held.keep(EMPTY, 0);
    this.#failure.fail(code, rest, items);
    return items;
  }
}
