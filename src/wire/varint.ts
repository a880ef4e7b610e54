/** The largest length that is read or written here: a varint of 4 bytes, far more than any message. */
const MAX_LENGTH = 0x0fff_ffff;

/** Returns the number of bytes of a length as a varint. */
export function varintBytes(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x4000) return 2;
  return length < 0x20_0000 ? 3 : 4;
}

/**
 * Reads the length at an offset before `end`. It must have its shortest form, which every encoder writes. Returns
 * undefined if there is no such length.
 */
export function lengthAt(bytes: Uint8Array, at: number, end: number): number | undefined {
  const first = bytes[at];
  if (first === undefined || at >= end) return undefined;
  return first < 0x80 ? first : longLengthAt(bytes, at, end);
}

function longLengthAt(bytes: Uint8Array, start: number, end: number): number | undefined {
  let length = 0;
  for (let at = start, shift = 0; at < end && shift < 28; at++, shift += 7) {
    const byte = bytes[at];
    if (byte === undefined) return undefined;
    length |= (byte & 0x7f) << shift;
    // A last byte of 0 means that a shorter form exists.
    if (byte < 0x80) return byte === 0 ? undefined : length;
  }
  return undefined;
}

/** Writes a length, and returns the offset after it. */
export function writeLength(target: Uint8Array, offset: number, length: number): number {
  let at = offset;
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at] = rest;
  return at + 1;
}

/** True if a length can be written in at most 4 bytes. */
export function isWritableLength(length: number): boolean {
  return length <= MAX_LENGTH;
}
