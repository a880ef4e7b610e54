import { fromBinary } from "@bufbuild/protobuf";
import { type HeaderMap, HeaderMapSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import type { Problem } from "../text/problem.ts";
import { textBetween } from "./header-text.ts";
import { MAX_MESSAGE_HEADERS, refuseHeaders } from "./message-limits.ts";
import { lengthAt, varintBytes } from "./varint.ts";

/** The tag of `HeaderMap.headers`, and of `HeaderValue.key` in it. */
const ENTRY = 0x0a;
const KEY = 0x0a;
const VALUE = 0x12;
const RAW_VALUE = 0x1a;
const ALL_LENGTHS = -1;

/**
 * Finds headers of a message in the bytes that Envoy sent. It serves `header()` and `Head` without creating an object
 * for every entry. The bytes were checked before it was created, so its methods cannot fail.
 */
export class HeaderIndex {
  /** The number of entries. */
  count = 0;
  /** The length of all names and values, in bytes. */
  size = 0;
  /**
   * The lengths of the names, as bits: bit 0 for names of 0, 32, 64 … bytes. A name of another length is absent, without a
   * search. By default all bits are set.
   */
  nameLengths = ALL_LENGTHS;
  /** The lengths that more than one name has. */
  repeatedLengths = ALL_LENGTHS;
  readonly #bytes: Uint8Array;
  readonly #start: number;
  readonly #end: number;
  /** The position of the entry that was found last. */
  #valueStart = 0;
  #valueEnd = 0;
  #entryEnd = 0;

  /** @param bytes Checked by {@link indexHeaderMap} from `start` to `end`. */
  constructor(bytes: Uint8Array, start: number, end: number) {
    this.#bytes = bytes;
    this.#start = start;
    this.#end = end;
  }

  /** Creates the headers as protobuf-es reads them. Each call creates them again. */
  toMap(): HeaderMap {
    return fromBinary(HeaderMapSchema, this.#bytes.subarray(this.#start, this.#end));
  }

  /** Returns the text of the first entry with this lower-case name, or of several entries joined; see `header()`. */
  joined(name: string): string | undefined {
    if (!this.#find(name, this.#start)) return undefined;
    let text = this.#text();
    if (name === "set-cookie" || !this.#mayRepeat(name)) return text;
    while (this.#find(name, this.#entryEnd)) text += (name === "cookie" ? "; " : ", ") + this.#text();
    return text;
  }

  /** Returns the text of every entry with this lower-case name. */
  all(name: string): string[] {
    const values: string[] = [];
    for (let at = this.#start; this.#find(name, at); at = this.#entryEnd) values.push(this.#text());
    return values;
  }

  /** Returns the text of the only entry with this lower-case name; undefined if there is none. */
  one(name: string): string | Problem | undefined {
    if (!this.#find(name, this.#start)) return undefined;
    const text = this.#text();
    return this.#mayRepeat(name) && this.#find(name, this.#entryEnd) ? SEVERAL : text;
  }

  /** Returns the text of the first entry with this lower-case name. */
  firstText(name: string): string | undefined {
    return this.#find(name, this.#start) ? this.#text() : undefined;
  }

  /** Returns the value of the first entry with this lower-case name. */
  first(name: string): Uint8Array | undefined {
    return this.#find(name, this.#start) ? this.#bytes.subarray(this.#valueStart, this.#valueEnd) : undefined;
  }

  /** True if there is an entry with this lower-case name. */
  has(name: string): boolean {
    return this.#find(name, this.#start);
  }

  #text(): string {
    return textBetween(this.#bytes, this.#valueStart, this.#valueEnd);
  }

  /** False if no two names have the length of this name. */
  #mayRepeat(name: string): boolean {
    return (this.repeatedLengths & (1 << name.length)) !== 0;
  }

  #find(name: string, from: number): boolean {
    if ((this.nameLengths & (1 << name.length)) === 0) return false;
    const bytes = this.#bytes;
    const end = this.#end;
    let at = from;
    while (at < end) {
      const length = checkedLength(bytes, at + 1);
      at += 1 + varintBytes(length);
      const entryEnd = at + length;
      let keyStart = at;
      if (length > 0 && bytes[at] === KEY) {
        const keyBytes = checkedLength(bytes, at + 1);
        keyStart += 1 + varintBytes(keyBytes);
        at = keyStart + keyBytes;
      }
      if (at - keyStart === name.length && isName(bytes, keyStart, name)) {
        this.#entryEnd = entryEnd;
        this.#valueEnd = entryEnd;
        this.#valueStart = at < entryEnd ? at + 1 + varintBytes(checkedLength(bytes, at + 1)) : entryEnd;
        return true;
      }
      at = entryEnd;
    }
    return false;
  }
}

/** Why {@link HeaderIndex.one} returns no text if there are several entries. */
export const SEVERAL: Problem = { problem: "came more than once" };

/**
 * Creates an index over `bytes[start..end)`, which should be a `HeaderMap`. Undefined if Envoy would not have written
 * it in this form, so that protobuf-es must read it. Envoy writes entries with a name in ASCII and either `raw_value`
 * or, in ASCII, `value`. It writes nothing else, and nothing beyond the bounds of the map.
 *
 * @throws TooManyParts If there are more than {@link MAX_MESSAGE_HEADERS}.
 */
export function indexHeaderMap(bytes: Uint8Array, start: number, end: number): HeaderIndex | undefined {
  let at = start;
  let count = 0;
  let size = 0;
  let nameLengths = 0;
  let repeatedLengths = 0;
  while (at < end) {
    const length = lengthAt(bytes, at + 1, end);
    if (length === undefined || bytes[at] !== ENTRY) return undefined;
    at += 1 + varintBytes(length);
    const entryEnd = at + length;
    if (entryEnd > end) return undefined;
    let nameBytes = bytes[at + 1] ?? 0x80;
    const valueAt = at + 2 + nameBytes;
    const valueBytes = bytes[valueAt + 1] ?? 0x80;
    // Nearly every entry has a short name, a short raw value, and nothing else.
    if (
      (nameBytes | valueBytes) < 0x80 &&
      valueAt + 2 + valueBytes === entryEnd &&
      bytes[at] === KEY &&
      bytes[valueAt] === RAW_VALUE
    ) {
      if (!isAscii(bytes, at + 2, valueAt)) return undefined;
      size += nameBytes + valueBytes;
    } else {
      const entrySize = sizeOfEntry(bytes, at, entryEnd);
      if (entrySize === undefined) return undefined;
      nameBytes = length > 0 && bytes[at] === KEY ? checkedLength(bytes, at + 1) : 0;
      size += entrySize;
    }
    repeatedLengths |= nameLengths & (1 << nameBytes);
    nameLengths |= 1 << nameBytes;
    at = entryEnd;
    if (++count > MAX_MESSAGE_HEADERS) refuseHeaders();
  }
  const index = new HeaderIndex(bytes, start, end);
  index.count = count;
  index.size = size;
  index.nameLengths = nameLengths;
  index.repeatedLengths = repeatedLengths;
  return index;
}

/** Reads a length that was checked. */
function checkedLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  return first < 0x80 ? first : (lengthAt(bytes, at, bytes.length) as number);
}

/** Returns the length of name and value together; undefined if Envoy would not have written the entry in this form. */
function sizeOfEntry(bytes: Uint8Array, start: number, end: number): number | undefined {
  let at = start;
  let size = 0;
  if (at < end && bytes[at] === KEY) {
    const length = lengthAt(bytes, at + 1, end);
    if (length === undefined) return undefined;
    at += 1 + varintBytes(length);
    if (at + length > end || !isAscii(bytes, at, at + length)) return undefined;
    at += length;
    size = length;
  }
  if (at === end) return size;
  const tag = bytes[at];
  if (tag !== RAW_VALUE && tag !== VALUE) return undefined;
  const length = lengthAt(bytes, at + 1, end);
  if (length === undefined) return undefined;
  at += 1 + varintBytes(length);
  if (at + length !== end) return undefined;
  return tag === RAW_VALUE || isAscii(bytes, at, end) ? size + length : undefined;
}

function isAscii(bytes: Uint8Array, start: number, end: number): boolean {
  // One check of all bytes together is faster than a check of each, and so are four bytes at a time.
  let bits = 0;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    bits |= (bytes[at] as number) | (bytes[at + 1] as number) | (bytes[at + 2] as number) | (bytes[at + 3] as number);
  }
  for (; at < end; at++) bits |= bytes[at] as number;
  return bits < 0x80;
}

/**
 * True if the name at an offset equals the lower-case name, except for its case. It is ASCII and has the same length.
 */
function isName(bytes: Uint8Array, start: number, name: string): boolean {
  // From the end, because many names have the same beginning, such as "x-envoy-".
  for (let index = name.length - 1; index >= 0; index--) {
    const byte = bytes[start + index] ?? 0;
    const lower = byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte;
    if (lower !== name.charCodeAt(index)) return false;
  }
  return true;
}
