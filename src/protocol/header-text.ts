import type { HeaderValue } from "../../gen/envoy/config/core/v3/base_pb.js";

const encoder = new TextEncoder();
/** Up to here a loop beats an encoder or decoder, which cost a call into C++. */
const SHORT = 64;
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

/** Header text as bytes: UTF-8. */
export function textToBytes(text: string): Uint8Array {
  // Short ASCII stays on V8's own heap, where an encoder's result of any length does not.
  if (text.length > SHORT) return encoder.encode(text);
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit >= 0x80) return encoder.encode(text);
    bytes[at] = unit;
  }
  return bytes;
}

/** Header bytes as text: UTF-8 where they are valid UTF-8, else latin1, one character a byte. */
export function bytesToText(bytes: Uint8Array): string {
  // Nearly every value is short ASCII; a TextDecoder call costs more than this loop for those.
  if (bytes.length <= SHORT) {
    let text = "";
    for (const byte of bytes) {
      if (byte >= 0x80) return decode(bytes);
      text += String.fromCharCode(byte);
    }
    return text;
  }
  return decode(bytes);
}

function decode(bytes: Uint8Array): string {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    // The label "latin1" means windows-1252 to TextDecoder, which would change bytes 0x80 to 0x9F.
    let text = "";
    for (const byte of bytes) text += String.fromCharCode(byte);
    return text;
  }
}
