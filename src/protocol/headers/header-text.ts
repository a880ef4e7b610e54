import type { HeaderValue } from "../../../gen/envoy/config/core/v3/base_pb.js";
import { escapedBytes, escapedText, hasEscapes, refuseLoneSurrogate } from "../../text/escaped-text.ts";

const encoder = new TextEncoder();
/** Up to here a loop beats a decoder, which costs a call into C++. */
const LOOP_LONGEST = 12;
/** Up to here V8 keeps bytes on its own heap; memory of any length elsewhere costs as much as twenty of these. */
const SHORT = 64;
/** What a kept text can pin beyond itself. */
const SLAB_BYTES = 4 * 1024;
const MAX_SHARED_UNITS = SLAB_BYTES / 12;

let slab = new Uint8Array(SLAB_BYTES);
let used = 0;

/**
 * The bytes of a header entry. Envoy writes `raw_value` alone; Envoy before 1.27 and other data planes write
 * `value`, which therefore counts where `raw_value` is empty.
 */
export function valueBytes(entry: HeaderValue): Uint8Array {
  return entry.rawValue.length > 0 ? entry.rawValue : encoder.encode(entry.value);
}

/** The text of a header entry, see {@link bytesToText}. */
export function valueText(entry: HeaderValue): string {
  return entry.rawValue.length > 0 ? bytesToText(entry.rawValue) : entry.value;
}

/**
 * Header text as bytes: UTF-8, and for what {@link bytesToText} made of other bytes those bytes. They may lie in memory
 * with others.
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

/**
 * Says why header text cannot be written: it has a lone surrogate that stands for no byte. Undefined if it can.
 *
 * @param bytes What {@link textToBytes} made of it. Such a surrogate makes them longer than the text, and ASCII does not.
 */
export function refuseHeaderText(text: string, bytes: Uint8Array): string | undefined {
  return bytes.length === text.length ? undefined : refuseLoneSurrogate(text, { escapes: true });
}

function encodeHeader(text: string): Uint8Array {
  const bytes = utf8Bytes(text);
  // As many bytes as units: ASCII, as most values are.
  return bytes.length === text.length || !hasEscapes(text) ? bytes : escapedBytes(text);
}

/** Text as UTF-8. The bytes may lie in memory with others. */
export function utf8Bytes(text: string): Uint8Array {
  if (text.length > MAX_SHARED_UNITS) return encoder.encode(text);
  // A unit of UTF-16 is three bytes at most.
  if (used + text.length * 3 > SLAB_BYTES) {
    slab = new Uint8Array(SLAB_BYTES);
    used = 0;
  }
  const start = used;
  used += encoder.encodeInto(text, slab.subarray(start)).written;
  return slab.subarray(start, used);
}

/**
 * Header bytes as text: UTF-8, and each byte that is not UTF-8 as the lone surrogate U+DC00 + byte, which stands for that
 * byte when the text is written. So a value that is copied keeps its bytes, whatever they are.
 */
export function bytesToText(bytes: Uint8Array): string {
  return textBetween(bytes, 0, bytes.length);
}

/** {@link bytesToText} of `bytes[start..end)`. */
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
