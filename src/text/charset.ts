/** The windows-1252 characters of the bytes 0x80 to 0x9f (WHATWG Encoding). Node 20 to 23 decode them as ISO-8859-1. */
const WINDOWS_1252 =
  "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f" +
  "\x90\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";
/** Multi-byte charsets that can be read. They cannot be written, because some characters have several forms. */
const READ_ONLY: ReadonlySet<string> = new Set([
  "gbk",
  "gb18030",
  "big5",
  "euc-jp",
  "euc-kr",
  "shift_jis",
  "iso-2022-jp",
]);
/** Labels of charsets that have fewer characters than windows-1252, which is used to read them. */
const ASCII_LABELS: ReadonlySet<string> = new Set(["ascii", "us-ascii", "ansi_x3.4-1968", "iso-ir-6"]);
const LATIN1_LABEL = /^(?:iso[-_]?8859-?1(?::1987)?|iso-ir-100|l1|latin1|cp819|ibm819|csisolatin1)$/;
/** A code unit that no byte stands for. */
const NO_UNIT = 0xfffd;
const PIECE_UNITS = 8192;

const encoder = new TextEncoder();

/** The encoding of a body's text. */
export interface TextEncoding {
  /** The label as it came; undefined if there was none, which means UTF-8. */
  readonly label: string | undefined;
  /** The name of the encoding in the WHATWG Encoding Standard. */
  readonly name: string;
  /** The byte order mark before the text. It is not a part of the text. */
  readonly mark: Uint8Array;
}

const NO_MARK = new Uint8Array(0);
const UTF8_MARK = Uint8Array.of(0xef, 0xbb, 0xbf);
const UTF16LE_MARK = Uint8Array.of(0xff, 0xfe);
const UTF16BE_MARK = Uint8Array.of(0xfe, 0xff);
const MARKS = [
  { mark: UTF8_MARK, name: "utf-8" },
  { mark: UTF16LE_MARK, name: "utf-16le" },
  { mark: UTF16BE_MARK, name: "utf-16be" },
] as const;

/** Returns the length of the UTF-8 byte order mark at an offset; 0 if there is none. */
export function utf8MarkLength(bytes: Uint8Array, at: number): number {
  return UTF8_MARK.every((byte, index) => bytes[at + index] === byte) ? UTF8_MARK.length : 0;
}

/**
 * A parameter of a `content-type` (RFC 9110 section 5.6.6): the part before its value, and the value, quoted or not.
 */
const PARAMETER = /(;[ \t]*([^\s;="]+)[ \t]*=[ \t]*)(?:"((?:[^"\\]|\\.)*)"|([^\s;"]+))/g;

/** Returns the first charset parameter of a `content-type`, in lower case; undefined if there is none. */
export function charsetOf(contentType: string | undefined): string | undefined {
  for (const [, , name = "", quoted, token] of (contentType ?? "").matchAll(PARAMETER)) {
    if (name.toLowerCase() !== "charset") continue;
    return (quoted?.replaceAll(/\\(.)/g, "$1") ?? token)?.trim().toLowerCase() || undefined;
  }
  return undefined;
}

/** Returns the `content-type` with UTF-8 in each of its charset parameters. */
export function withUtf8Charset(contentType: string): string {
  return contentType.replaceAll(PARAMETER, (parameter: string, start: string, name: string) =>
    name.toLowerCase() === "charset" ? `${start}utf-8` : parameter,
  );
}

/**
 * Returns the encoding of a text, by its label. A byte order mark of UTF-8 or UTF-16 overrides the label. Text with an
 * unknown label or without a label is read as UTF-8.
 *
 * @param json JSON in UTF-16 is recognized without a label, because its first character is ASCII (RFC 4627 section 3).
 */
export function encodingOf(bytes: Uint8Array, label: string | undefined, { json }: { json: boolean }): TextEncoding {
  for (const { mark, name } of MARKS) {
    if (mark.every((byte, index) => bytes[index] === byte)) return { label, name, mark };
  }
  if (json && bytes.length > 1 && bytes[0] === 0 && bytes[1] !== 0) return { label, name: "utf-16be", mark: NO_MARK };
  if (json && bytes.length > 1 && bytes[0] !== 0 && bytes[1] === 0) return { label, name: "utf-16le", mark: NO_MARK };
  return { label, name: encodingName(label), mark: NO_MARK };
}

/** Decodes text, without its byte order mark; undefined if the bytes are not valid in the encoding. */
export function decodeText(bytes: Uint8Array, { name, mark }: TextEncoding): string | undefined {
  const content = bytes.subarray(mark.length);
  if (!isSingleByte(name)) {
    try {
      return new TextDecoder(name, { fatal: true, ignoreBOM: true }).decode(content);
    } catch {
      return undefined;
    }
  }
  const { units } = singleByteTable(name);
  const codes = new Uint16Array(content.length);
  for (let at = 0; at < content.length; at++) {
    const unit = units[content[at] ?? 0] ?? NO_UNIT;
    if (unit === NO_UNIT) return undefined;
    codes[at] = unit;
  }
  let text = "";
  for (let at = 0; at < codes.length; at += PIECE_UNITS)
    text += String.fromCharCode(...codes.subarray(at, at + PIECE_UNITS));
  return text;
}

/**
 * Encodes text, with the byte order mark of the encoding before it. Undefined if the encoding lacks one of its
 * characters, or can only be read.
 *
 * @param original The text that was there before. Its characters are in the charset, whatever the label says.
 */
export function encodeText(
  text: string,
  encoding: TextEncoding,
  original: string | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  const content = encodeContent(text, encoding, original);
  if (content === undefined || encoding.mark.length === 0 || text === "" || text.startsWith("\ufeff")) return content;
  const bytes = new Uint8Array(encoding.mark.length + content.length);
  bytes.set(encoding.mark);
  bytes.set(content, encoding.mark.length);
  return bytes;
}

function encodeContent(
  text: string,
  { label, name }: TextEncoding,
  original: string | undefined,
): Uint8Array<ArrayBuffer> | undefined {
  if (name === "utf-8") return encoder.encode(text);
  if (name === "utf-16le" || name === "utf-16be") return utf16Bytes(text, name === "utf-16be");
  if (READ_ONLY.has(name)) return isAscii(text) ? encoder.encode(text) : undefined;
  const { bytes } = singleByteTable(name);
  const isOutside = strictLimit(label);
  const encoded = new Uint8Array(text.length);
  let known: ReadonlySet<string> | undefined;
  for (let at = 0; at < text.length; at++) {
    const byte = bytes.get(text.charCodeAt(at));
    if (byte === undefined) return undefined;
    if (isOutside?.(byte) === true) {
      known ??= new Set(original);
      if (!known.has(text.charAt(at))) return undefined;
    }
    encoded[at] = byte;
  }
  return encoded;
}

/**
 * Returns a test for the bytes that a strict reader of this label would read as another character. Undefined if there
 * are none.
 */
function strictLimit(label: string | undefined): ((byte: number) => boolean) | undefined {
  if (label === undefined) return undefined;
  if (ASCII_LABELS.has(label)) return (byte) => byte >= 0x80;
  return LATIN1_LABEL.test(label) ? (byte) => byte >= 0x80 && byte < 0xa0 : undefined;
}

function utf16Bytes(text: string, isBigEndian: boolean): Uint8Array<ArrayBuffer> {
  // No reader accepts a form of a lone surrogate, so it becomes U+FFFD, as in UTF-8.
  const wellFormed = text.replaceAll(/\p{Surrogate}/gu, "\ufffd");
  const bytes = new Uint8Array(wellFormed.length * 2);
  const view = new DataView(bytes.buffer);
  for (let at = 0; at < wellFormed.length; at++) view.setUint16(at * 2, wellFormed.charCodeAt(at), !isBigEndian);
  return bytes;
}

function encodingName(label: string | undefined): string {
  if (label === undefined) return "utf-8";
  try {
    return new TextDecoder(label).encoding.toLowerCase();
  } catch {
    return "utf-8";
  }
}

function isSingleByte(name: string): boolean {
  return !name.startsWith("utf-") && !READ_ONLY.has(name);
}

interface SingleByteTable {
  /** The code unit of each byte. */
  readonly units: Uint16Array;
  /** The byte of each code unit. */
  readonly bytes: ReadonlyMap<number, number>;
}

const tables = new Map<string, SingleByteTable>();

function singleByteTable(name: string): SingleByteTable {
  const known = tables.get(name);
  if (known !== undefined) return known;
  const units = Uint16Array.from({ length: 256 }, (_, byte) => unitOf(name, byte));
  const bytes = new Map<number, number>();
  for (const [byte, unit] of units.entries()) if (unit !== NO_UNIT && !bytes.has(unit)) bytes.set(unit, byte);
  const table = { units, bytes };
  tables.set(name, table);
  return table;
}

function unitOf(name: string, byte: number): number {
  if (name !== "windows-1252") return new TextDecoder(name).decode(Uint8Array.of(byte)).charCodeAt(0);
  return byte >= 0x80 && byte < 0xa0 ? WINDOWS_1252.charCodeAt(byte - 0x80) : byte;
}

/** True for ASCII text without characters that change the state in iso-2022-jp. */
function isAscii(text: string): boolean {
  return /^\p{ASCII}*$/u.test(text) && !text.includes("\x1b") && !text.includes("\x0e");
}
