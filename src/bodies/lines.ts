import { HeldBytes } from "./held-bytes.ts";
import { LineEnds, type LineEndsOptions } from "./line-ends.ts";
import { plainBytes } from "./owned-bytes.ts";
import { type Split, type SplitFailure, type Splitter, splitChunks } from "./splitter.ts";

/** How a body is cut into lines. */
export interface LineOptions extends LineEndsOptions {
  /** The longest line, without what ends it. Default 1 MiB. */
  readonly maxLineBytes?: number | undefined;
}

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const EMPTY = new Uint8Array(0);

/** A line. All `raw` one after the other are the body, byte for byte. */
export class Line {
  /** With what ends it: LF, CRLF, CR, or nothing at the end of the body. */
  readonly raw: Uint8Array<ArrayBuffer>;
  readonly #length: number;

  constructor(raw: Uint8Array<ArrayBuffer>, length: number) {
    this.raw = raw;
    this.#length = length;
  }

  /** Without what ends it. */
  get bytes(): Uint8Array<ArrayBuffer> {
    return this.raw.subarray(0, this.#length);
  }

  /** {@link bytes} as UTF-8, decoded at each call; what is none becomes U+FFFD. */
  get text(): string {
    return decoder.decode(this.bytes);
  }

  /** What ends it. */
  get terminator(): Uint8Array<ArrayBuffer> {
    return this.raw.subarray(this.#length);
  }
}

/**
 * Cuts a body into lines. A longer one than allowed is failure `line_too_long`.
 *
 * @example
 * const splitter = createLineSplitter();
 * splitter.push(utf8("a\r\nb")).items.map((line) => line.text); // ["a"]
 * splitter.end().items.map((line) => line.text); // ["b"]
 */
export function createLineSplitter(options: LineOptions = {}): Splitter<Line> {
  return new LineSplitter(options);
}

/** The lines of a body; throws a `SplitError`. */
export function lines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  options: LineOptions = {},
): AsyncGenerator<Line, void, undefined> {
  return splitChunks(chunks, createLineSplitter(options));
}

class LineSplitter implements Splitter<Line> {
  readonly #maxLineBytes: number;
  readonly #ends: LineEnds;
  readonly #held = new HeldBytes();
  #failed = false;

  constructor({ maxLineBytes = 1 << 20, loneCarriageReturn }: LineOptions) {
    this.#maxLineBytes = maxLineBytes;
    this.#ends = new LineEnds({ loneCarriageReturn });
  }

  push(chunk: Uint8Array): Split<Line> {
    if (this.#failed) return { items: [], failure: tooLong(plainBytes(chunk)) };
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
    this.#held.keep(bytes, start);
    return { items, failure: undefined };
  }

  end(): Split<Line> {
    const bytes = this.#held.take();
    if (bytes.length === 0) return { items: [], failure: undefined };
    const length = this.#ends.contentLengthAtEnd(bytes);
    if (length > this.#maxLineBytes) return this.#fail([], bytes);
    return { items: [new Line(bytes, length)], failure: undefined };
  }

  #fail(items: readonly Line[], rest: Uint8Array<ArrayBuffer>): Split<Line> {
    this.#failed = true;
    this.#held.keep(EMPTY, 0);
    return { items, failure: tooLong(rest) };
  }
}

function tooLong(rest: Uint8Array<ArrayBuffer>): SplitFailure {
  return { code: "line_too_long", rest };
}
