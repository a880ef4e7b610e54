/**
 * How many bytes a brotli body has when it is decoded, if its beginning shows it: the first meta-block is the last, and has at
 * most 64 KiB (RFC 7932 section 9). Undefined: it has more than one, or is longer.
 */
export function brotliLength(bytes: Uint8Array): number | undefined {
  const [a = 0, b = 0, c = 0, d = 0] = bytes;
  // Bits come from the low end; window, flags and length have at most 27 of them.
  let bits = (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  const take = (count: number) => {
    const value = bits % 2 ** count;
    bits = Math.floor(bits / 2 ** count);
    return value;
  };
  const windowBits = windowFieldBits(a);
  take(windowBits);
  const isLast = take(1) === 1;
  if (!isLast) return undefined;
  const isEmpty = take(1) === 1;
  if (isEmpty) return 0;
  const nibbles = 4 + take(2);
  // A longer length is more than callers ask for; 7 nibbles are not a length.
  return nibbles === 4 ? take(16) + 1 : undefined;
}

/** Size of a brotli body's window, from its first byte (RFC 7932 section 9.1). */
export function brotliWindowBytes(first: number): number {
  return 2 ** windowLog(first);
}

function windowLog(first: number): number {
  if ((first & 1) === 0) return 16;
  const three = (first >>> 1) & 7;
  if (three > 0) return 17 + three;
  const four = (first >>> 4) & 7;
  // 1 is a large window, which is not brotli in HTTP: the decoder rejects it before it allocates one.
  return four === 0 ? 17 : 8 + four;
}

/** The window's size takes 1, 4 or 7 bits. */
function windowFieldBits(first: number): number {
  if ((first & 1) === 0) return 1;
  return (first & 0b1110) === 0 ? 7 : 4;
}
