import type { HeaderValue } from "../../gen/envoy/config/core/v3/base_pb.js";

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
const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The bytes of a header entry. Envoy writes `raw_value` alone; Envoy before 1.27 and other data planes write
 * `value`, which therefore counts where `raw_value` is empty.
 */
export function valueBytes(entry: HeaderValue): Uint8Array {
  return entry.rawValue.length > 0 ? entry.rawValue : encoder.encode(entry.value);
}

/** The text of a header entry: UTF-8 where its bytes are valid UTF-8, else latin1, one character a byte. */
export function valueText(entry: HeaderValue): string {
  return entry.rawValue.length > 0 ? bytesToText(entry.rawValue) : entry.value;
}

/** Header text as bytes: UTF-8. They may lie in memory with others. */
export function textToBytes(text: string): Uint8Array {
  if (text.length > SHORT) return encode(text);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x80) return encode(text);
    bytes[at] = unit;
  }
  return bytes;
}

function encode(text: string): Uint8Array {
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

/** Header bytes as text: UTF-8 where they are valid UTF-8, else latin1, one character a byte. */
export function bytesToText(bytes: Uint8Array): string {
  return textBetween(bytes, 0, bytes.length);
}

/** {@link bytesToText} of `bytes[start..end)`. */
export function textBetween(bytes: Uint8Array, start: number, end: number): string {
  if (end - start > LOOP_LONGEST) return decode(bytes.subarray(start, end));
  let text = "";
  for (let at = start; at < end; at++) {
    const byte = bytes[at] ?? 0;
    if (byte >= 0x80) return decode(bytes.subarray(start, end));
    text += String.fromCharCode(byte);
  }
  return text;
}

/** Bytes as text where they are valid UTF-8; undefined where they are not. */
export function utf8Only(bytes: Uint8Array): string | undefined {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return undefined;
  }
}

function decode(bytes: Uint8Array): string {
  const decoded = utf8Only(bytes);
  if (decoded !== undefined) return decoded;
  // The label "latin1" means windows-1252 to TextDecoder, which would change bytes 0x80 to 0x9F.
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return text;
}
