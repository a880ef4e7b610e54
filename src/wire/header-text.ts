import type { HeaderValue } from "../../gen/envoy/config/core/v3/base_pb.js";
import { escapedBytes, escapedText, hasEscapes, refuseLoneSurrogate } from "../text/escaped-text.ts";

const encoder = new TextEncoder();
/** Up to this length a loop is faster than a decoder, which costs a call into C++. */
const LOOP_LONGEST = 12;
/** Up to this length V8 keeps bytes on its own heap. Memory elsewhere costs as much as 20 of these. */
const SHORT = 64;
/** The memory that a kept text can keep alive in addition to its own. */
const SLAB_BYTES = 4 * 1024;
const MAX_SHARED_UNITS = SLAB_BYTES / 12;

/** Module state: memory that the next texts share, because memory for each text would cost more than its encoding. */
let slab = new Uint8Array(SLAB_BYTES);
/** Module state: the bytes of the slab that texts have. */
let used = 0;

/**
 * Returns the bytes of a header entry. Envoy writes only `raw_value`. Envoy before 1.27 and other data planes write
 * `value`, so that one is used if `raw_value` is empty.
 */
export function valueBytes(entry: HeaderValue): Uint8Array {
  return entry.rawValue.length > 0 ? entry.rawValue : encoder.encode(entry.value);
}

/** Returns the text of a header entry; see {@link bytesToText}. */
export function valueText(entry: HeaderValue): string {
  return entry.rawValue.length > 0 ? bytesToText(entry.rawValue) : entry.value;
}

/**
 * Encodes header text as UTF-8. Surrogates that {@link bytesToText} made of other bytes become those bytes again. The
 * result may share its memory with other results.
 */
export function textToBytes(text: string): Uint8Array {
  if (text.length > SHORT) return encodeHeader(text);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x80) return encodeHeader(text);
    bytes[at] = unit;
  }
  return bytes;
}

/** Returns bytes as they are, and text as {@link textToBytes} encodes it. */
export function toBytes(value: string | Uint8Array): Uint8Array {
  return typeof value === "string" ? textToBytes(value) : value;
}

/**
 * Says why header text cannot be written: it has a lone surrogate that does not stand for a byte. Undefined if it can
 * be written.
 *
 * @param bytes The result of {@link textToBytes}. Such a surrogate makes it longer than the text; ASCII does not.
 */
export function refuseHeaderText(text: string, bytes: Uint8Array): string | undefined {
  return bytes.length === text.length ? undefined : refuseLoneSurrogate(text, { escapes: true });
}

function encodeHeader(text: string): Uint8Array {
  const bytes = utf8Bytes(text);
  // The number of bytes equals the number of code units: ASCII, like most values.
  return bytes.length === text.length || !hasEscapes(text) ? bytes : escapedBytes(text);
}

/** Encodes text as UTF-8. The result may share its memory with other results. */
export function utf8Bytes(text: string): Uint8Array {
  if (text.length > MAX_SHARED_UNITS) return encoder.encode(text);
  // A code unit of UTF-16 needs at most 3 bytes.
  if (used + text.length * 3 > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const start = used;
  used += encoder.encodeInto(text, slab.subarray(start)).written;
  return slab.subarray(start, used);
}

/**
 * Decodes header bytes as UTF-8. Each byte that is not UTF-8 becomes the lone surrogate U+DC00 + byte, which is written
 * as that byte again. So a copied value keeps its bytes.
 */
export function bytesToText(bytes: Uint8Array): string {
  return textBetween(bytes, 0, bytes.length);
}

/** Decodes `bytes[start..end)` like {@link bytesToText}. */
export function textBetween(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > LOOP_LONGEST) return escapedText(bytes.subarray(start, end));
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte >= 0x80) return escapedText(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}
