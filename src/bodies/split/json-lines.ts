import { utf8MarkLength } from "../../text/charset.ts";
import { writeJson } from "../json/json-merge.ts";
import { isJsonBlank } from "../json/json-text.ts";
import { parseJson } from "../json/parse-json.ts";
import { joinBytes } from "../owned-bytes.ts";
import { createLineSplitter, type Line } from "./lines.ts";
import { type BodyChunks, type Splitter, splitChunks } from "./splitter.ts";

/**
 * A line of NDJSON (JSON Lines). All `raw` one after the other are the body, byte for byte.
 *
 * - `value`: the parsed value.
 * - `blank`: nothing but white space.
 * - `invalid`: not JSON, or nested deeper than 1,000 levels. The lines around it are not affected.
 */
export type JsonLine =
  | {
      readonly kind: "value";
      readonly value: unknown;
      readonly raw: Uint8Array<ArrayBuffer>;
      /**
       * The line with another value and the same end. Parts that did not change keep their source text, as with
       * `replaceJson`.
       *
       * @throws {TypeError} As {@link formatJsonLine}.
       */
      withValue(value: unknown): Uint8Array<ArrayBuffer>;
    }
  | { readonly kind: "blank" | "invalid"; readonly raw: Uint8Array<ArrayBuffer> };

/** How NDJSON is read. */
export interface JsonLineOptions {
  /** The longest line, without what ends it. Default 1 MiB. */
  readonly maxLineBytes?: number | undefined;
}

const decoder = new TextDecoder("utf-8", { fatal: true });
const encoder = new TextEncoder();

/**
 * Reads NDJSON: a JSON value on each line, in UTF-8, chunk by chunk. A line that is longer than allowed is a `SplitError`,
 * `line_too_long`.
 *
 * @example
 * createJsonLineParser().push(utf8('{"a":1}\n[2]\n')).length; // 2
 */
export function createJsonLineParser(options: JsonLineOptions = {}): Splitter<JsonLine> {
  const splitter = createLineSplitter(options);
  return { push: (chunk) => splitter.push(chunk).map(parseLine), end: () => splitter.end().map(parseLine) };
}

/**
 * The values of an NDJSON body, line by line, as {@link createJsonLineParser} gives them.
 *
 * @throws {SplitError} `line_too_long`.
 *
 * @example
 * async *handle(chunks) {
 *   for await (const line of jsonLines(chunks))
 *     yield line.kind === "value" ? line.withValue(changed(line.value)) : line.raw;
 * }
 */
export function jsonLines(
  chunks: BodyChunks,
  options: JsonLineOptions = {},
): AsyncGenerator<JsonLine, void, undefined> {
  return splitChunks(chunks, createJsonLineParser(options));
}

/**
 * Writes a line of NDJSON, with LF at its end.
 *
 * @throws {TypeError} If JSON has no text for the value, such as a function or a bigint.
 */
export function formatJsonLine(value: unknown): Uint8Array<ArrayBuffer> {
  const text: string | undefined = JSON.stringify(value);
  if (text === undefined) throw new TypeError(`JSON has no text for a value of type ${typeof value}`);
  return encoder.encode(`${text}\n`);
}

function parseLine({ raw, bytes }: Line): JsonLine {
  if (bytes.every(isJsonBlank)) return { kind: "blank", raw };
  const text = decoded(bytes);
  const parsed = text === undefined ? undefined : parseJson(text);
  if (parsed === undefined || "problem" in parsed) return { kind: "invalid", raw };
  return new ValueLine(raw, bytes.length, parsed.value);
}

function decoded(bytes: Uint8Array): string | undefined {
  try {
    return decoder.decode(bytes);
  } catch {
    return undefined;
  }
}

class ValueLine {
  readonly kind = "value";
  readonly value: unknown;
  readonly raw: Uint8Array<ArrayBuffer>;
  readonly #length: number;

  constructor(raw: Uint8Array<ArrayBuffer>, length: number, value: unknown) {
    this.raw = raw;
    this.#length = length;
    this.value = value;
  }

  withValue(value: unknown): Uint8Array<ArrayBuffer> {
    const { raw } = this;
    // The first line can begin with a byte order mark.
    const mark = raw.subarray(0, utf8MarkLength(raw, 0));
    const text = textOf(value, decoder.decode(raw.subarray(0, this.#length)));
    return joinBytes([mark, encoder.encode(text), raw.subarray(this.#length)]);
  }
}

function textOf(value: unknown, source: string | undefined): string {
  const written = writeJson(value, source);
  if ("problem" in written) throw new TypeError(written.problem);
  return written.text;
}
