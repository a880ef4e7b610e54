/** The pattern that is searched for in bytes. */
export interface BytePatternOptions {
  /**
   * One string, several, or a RegExp. A RegExp has the flags `i`, `m`, `s` and `g` at most, no characters beyond ASCII
   * (write their bytes, as `\xc3\xa9`), and matches at least one byte.
   */
  readonly pattern: RegExp | string | readonly string[];
  /**
   * The longest match of the RegExp, from 1 to 65,536. What a lookahead (`(?=…)`) reads after a match counts, except one
   * byte, so that `\b` and `$` are free. Strings need no value.
   */
  readonly maxMatchBytes?: number | undefined;
}

const MAX_MATCH_BYTES = 64 << 10;

/** A pattern over the bytes of a body, which it sees as latin1: one character for each. */
export class BytePattern {
  /** The longest match. */
  readonly maxMatchBytes: number;
  /** How many bytes before an offset it may read. */
  readonly contextBytes: number;
  readonly #expression: RegExp;
  /** All prefixes of the strings; undefined for a RegExp. */
  readonly #beginnings: ReadonlySet<string> | undefined;

  constructor({ pattern, maxMatchBytes }: BytePatternOptions) {
    if (pattern instanceof RegExp) {
      this.#expression = byteExpression(pattern);
      this.maxMatchBytes = checkedMaxMatchBytes(maxMatchBytes);
      this.contextBytes = this.maxMatchBytes;
    } else {
      const strings = (typeof pattern === "string" ? [pattern] : pattern).map((text) => latin1OfUtf8(text));
      if (strings.length === 0 || strings.includes("")) throw new TypeError("pattern: nothing to look for");
      this.#expression = new RegExp(
        strings.map((text) => text.replaceAll(/[\\^$.*+?()[\]{}|/-]/g, "\\$&")).join("|"),
        "g",
      );
      this.#beginnings = new Set(
        strings.flatMap((text) => Array.from(text, (_, length) => text.slice(0, length)).slice(1)),
      );
      this.maxMatchBytes = Math.max(...strings.map(({ length }) => length));
      this.contextBytes = 0;
    }
  }

  /** The first match at or after an index. */
  find(text: string, from: number): { readonly start: number; readonly end: number } | undefined {
    const expression = this.#expression;
    expression.lastIndex = from;
    for (let match = expression.exec(text); match !== null; match = expression.exec(text)) {
      if (match[0].length > 0) return { start: match.index, end: match.index + match[0].length };
      expression.lastIndex++;
    }
    return undefined;
  }

  /** The offset up to which it is certain whether a match begins, whatever follows. */
  sureEnd(text: string, from: number): number {
    if (this.#beginnings === undefined) return Math.max(from, text.length - this.maxMatchBytes);
    for (let start = Math.max(from, text.length - this.maxMatchBytes + 1); start < text.length; start++) {
      if (this.#beginnings.has(text.slice(start))) return start;
    }
    return text.length;
  }
}

function checkedMaxMatchBytes(bytes: number | undefined): number {
  if (bytes !== undefined && Number.isInteger(bytes) && bytes >= 1 && bytes <= MAX_MATCH_BYTES) return bytes;
  throw new TypeError(`maxMatchBytes: a RegExp needs a whole number from 1 to ${MAX_MATCH_BYTES}`);
}

function byteExpression({ source, flags }: RegExp): RegExp {
  if (/[^gims]/.test(flags)) throw new TypeError(`pattern: flags ${flags}: only i, m, s and g work on bytes`);
  if (/[^\0-\x7f]/.test(source))
    throw new TypeError("pattern: characters beyond ASCII: write their bytes, as \\xc3\\xa9");
  const expression = new RegExp(withByteWhiteSpace(source), flags.includes("g") ? flags : `${flags}g`);
  if (expression.test("")) throw new TypeError("pattern: it matches nothing, so it would match everywhere");
  expression.lastIndex = 0;
  return expression;
}

/**
 * Restricts `\s` to ASCII. Of the characters of all classes only U+00A0 is also a byte beyond ASCII. In UTF-8 that byte is a
 * part of another character, such as "à".
 */
function withByteWhiteSpace(source: string): string {
  let isInClass = false;
  return source.replaceAll(/\\[\s\S]|[[\]]/g, (token) => {
    if (token === "[") isInClass = true;
    else if (token === "]") isInClass = false;
    else if (token === "\\s") return isInClass ? "\\t-\\r " : "[\\t-\\r ]";
    else if (token === "\\S") return isInClass ? "\\0-\\x08\\x0e-\\x1f!-\\xff" : "[^\\t-\\r ]";
    return token;
  });
}

function latin1OfUtf8(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}
