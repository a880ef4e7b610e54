/** Longest length that is read or written here: four bytes of varint, far beyond any message. */
const MAX_LENGTH = 0x0fff_ffff;

/** How many bytes a length takes as a varint. */
export function varintBytes(length: number): number {
  if (length < 0x80) return 1;
  if (length < 0x4000) return 2;
  return length < 0x20_0000 ? 3 : 4;
}

/**
 * The length at an offset before `end`, in its shortest form, which every encoder writes. -1 if there is none.
 */
export function lengthAt(bytes: Uint8Array, at: number, end: number): number {
  const first = bytes[at];
  if (first === undefined || at >= end) return -1;
  return first < 0x80 ? first : longLengthAt(bytes, at, end);
}

function longLengthAt(bytes: Uint8Array, start: number, end: number): number {
  let length = 0;
  for (let at = start, shift = 0; at < end && shift < 28; at++, shift += 7) {
    const byte = bytes[at];
    if (byte === undefined) return -1;
    length |= (byte & 0x7f) << shift;
    // A last byte of zero says nothing: a shorter form would do.
    if (byte < 0x80) return byte === 0 ? -1 : length;
  }
  return -1;
}

/** Writes a length, and gives the offset behind it. */
export function writeLength(target: Uint8Array, offset: number, length: number): number {
  let at = offset;
  let rest = length;
  for (; rest >= 0x80; rest >>>= 7) target[at++] = (rest & 0x7f) | 0x80;
  target[at] = rest;
  return at + 1;
}

/** True if a length has a form of at most four bytes. */
export function isWritableLength(length: number): boolean {
  return length <= MAX_LENGTH;
}
