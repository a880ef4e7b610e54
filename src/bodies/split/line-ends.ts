/** Options of line ends. */
export interface LineEndsOptions {
  /**
   * Whether a CR alone ends a line, in addition to LF and CRLF. Default: no, it is an ordinary character. With it a CR at the
   * end of a chunk waits for the next one, which may begin with the LF that belongs to it.
   */
  readonly loneCarriageReturn?: boolean | undefined;
}

const LF = 10;
const CR = 13;

/** Finds the ends of lines. It reads each byte once or twice, however the chunks are cut. One object serves all chunks. */
export class LineEnds {
  readonly #loneCarriageReturn: boolean;
  #bytes = new Uint8Array(0);
  #at = 0;
  #lineFeed = 0;
  #carriageReturn = 0;
  /** The offset at which the line's content ends; set by {@link next}. */
  contentEnd = 0;
  /** The offset at which the next line begins; set by {@link next}. */
  end = 0;

  constructor({ loneCarriageReturn = false }: LineEndsOptions) {
    this.#loneCarriageReturn = loneCarriageReturn;
  }

  /** Reads bytes from `lineStart` on. Bytes up to `scanned` were there the last time, and ended no line. */
  begin(bytes: Uint8Array<ArrayBuffer>, scanned: number, lineStart: number): void {
    this.#bytes = bytes;
    this.end = lineStart;
    // The last byte may have been a CR that waits for its LF.
    this.#at = Math.max(lineStart, scanned - 1);
    this.#lineFeed = -1;
    this.#carriageReturn = -1;
  }

  /** Whether another line is complete. */
  next(): boolean {
    const bytes = this.#bytes;
    const at = this.#at;
    if (this.#lineFeed < at) this.#lineFeed = indexOrLength(bytes, LF, at);
    if (this.#loneCarriageReturn && this.#carriageReturn < at) this.#carriageReturn = indexOrLength(bytes, CR, at);
    const feed = this.#lineFeed;
    if (this.#loneCarriageReturn && this.#carriageReturn < feed) {
      const back = this.#carriageReturn;
      if (back + 1 === bytes.length) return false;
      return this.#found(back, back + (bytes[back + 1] === LF ? 2 : 1));
    }
    if (feed === bytes.length) return false;
    return this.#found(feed > this.end && bytes[feed - 1] === CR ? feed - 1 : feed, feed + 1);
  }

  /** Length of the content of the last line, which has no end so far. A CR that waited for its LF is not content. */
  contentLengthAtEnd(bytes: Uint8Array): number {
    return this.#loneCarriageReturn && bytes.at(-1) === CR ? bytes.length - 1 : bytes.length;
  }

  #found(contentEnd: number, end: number): true {
    this.contentEnd = contentEnd;
    this.end = end;
    this.#at = end;
    return true;
  }
}

function indexOrLength(bytes: Uint8Array, byte: number, from: number): number {
  const index = bytes.indexOf(byte, from);
  return index === -1 ? bytes.length : index;
}
