const encoder = new TextEncoder();
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
/** A byte from 0x80 to 0xff becomes the code unit 0xdc00 + byte, which well-formed text does not contain. */
const ESCAPE = 0xdc00;
/** In Unicode mode this does not match the second half of a pair. */
const ESCAPES = /[\udc80-\udcff]+/gu;
const HAS_ESCAPE = /[\udc80-\udcff]/u;

/** Decodes bytes as UTF-8; undefined if they are not UTF-8. A byte order mark counts as a character. */
export function utf8Only(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

/**
 * Decodes bytes that should be UTF-8 without losing the others: each byte that is not part of a valid sequence becomes
 * one lone surrogate, U+DC80 to U+DCFF (the scheme of PEP 383). {@link escapedBytes} restores the bytes, also for parts
 * of the text and for joined texts.
 */
export function escapedText(bytes: Uint8Array): string {
  return utf8Only(bytes) ?? withEscapes(bytes);
}

/** Encodes text as UTF-8, and each lone surrogate from U+DC80 to U+DCFF as the byte that it stands for. */
export function escapedBytes(text: string): Uint8Array<ArrayBuffer> {
  if (!hasEscapes(text)) return encoder.encode(text);
  const bytes = new Uint8Array(text.length * 3);
  let length = 0;
  let at = 0;
  for (const { index, 0: escapes } of text.matchAll(ESCAPES)) {
    length += encoder.encodeInto(text.slice(at, index), bytes.subarray(length)).written;
    for (let unit = 0; unit < escapes.length; unit++) bytes[length++] = escapes.charCodeAt(unit) - ESCAPE;
    at = index + escapes.length;
  }
  length += encoder.encodeInto(text.slice(at), bytes.subarray(length)).written;
  return bytes.slice(0, length);
}

/**
 * Encodes a text of an author like {@link escapedBytes}.
 *
 * @throws {TypeError} For a lone surrogate that does not stand for a byte: U+FFFD would be written instead.
 */
export function checkedBytes(text: string): Uint8Array<ArrayBuffer> {
  const problem = refuseLoneSurrogate(text, { escapes: true });
  if (problem !== undefined) throw new TypeError(`text: ${problem}`);
  return escapedBytes(text);
}

/** True for text that {@link escapedText} decoded from bytes that are not UTF-8. */
export function hasEscapes(text: string): boolean {
  return HAS_ESCAPE.test(text);
}

function withEscapes(bytes: Uint8Array): string {
  let text = "";
  let validFrom = 0;
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length > 0) {
      at += length;
      continue;
    }
    if (at > validFrom) text += strictUtf8.decode(bytes.subarray(validFrom, at));
    text += String.fromCharCode(ESCAPE + (bytes[at] ?? 0));
    validFrom = ++at;
  }
  return at > validFrom ? text + strictUtf8.decode(bytes.subarray(validFrom, at)) : text;
}

/** Returns the length of the valid UTF-8 sequence (RFC 3629 section 4) at an index; 0 if there is none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const second = bytes[at + 1] ?? 0;
  const lowest = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const highest = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < lowest || second > highest) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  for (let next = at + 2; next < at + length; next++) {
    const byte = bytes[next] ?? 0;
    if (byte < 0x80 || byte > 0xbf) return 0;
  }
  return length;
}

/** Matches one half of a pair that stands alone. In Unicode mode the halves of a pair do not match. */
const LONE_SURROGATE = /[\ud800-\udfff]/u;
const LONE_UNESCAPED = /[\ud800-\udc7f\udd00-\udfff]/u;

/**
 * Says why a text cannot be written as UTF-8: it has a lone surrogate, for which an encoder would write U+FFFD.
 * Undefined if it can be written. The text names the place and a solution.
 *
 * @param escapes True if {@link escapedBytes} writes the text. Then a surrogate that stands for a byte is allowed.
 */
export function refuseLoneSurrogate(text: string, { escapes }: { readonly escapes: boolean }): string | undefined {
  const { 0: unit, index } = (escapes ? LONE_UNESCAPED : LONE_SURROGATE).exec(text) ?? {};
  if (unit === undefined) return undefined;
  const wayOut = HAS_ESCAPE.test(unit)
    ? "it stands for a byte of a header value that is not UTF-8: take the bytes, as by tx.request.bytes(name), or value.toWellFormed()"
    : "take text.toWellFormed()";
  const name = `U+${unit.charCodeAt(0).toString(16).toUpperCase()}`;
  return `has the lone surrogate ${name} at index ${index}, which UTF-8 cannot encode; ${wayOut}`;
}

/** Says which text inside a value cannot be written as UTF-8; undefined if every text can. */
export function refuseTextsOf(value: unknown, name = "text"): string | undefined {
  if (typeof value === "string") {
    const problem = refuseLoneSurrogate(value, { escapes: false });
    return problem && `${name} ${problem}`;
  }
  if (typeof value !== "object" || value === null || ArrayBuffer.isView(value)) return undefined;
  for (const [key, item] of Object.entries(value)) {
    const problem = refuseTextsOf(key, "key") ?? refuseTextsOf(item, Array.isArray(value) ? name : key);
    if (problem !== undefined) return problem;
  }
  return undefined;
}
