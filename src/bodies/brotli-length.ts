/**
 * How many bytes a brotli body has when it is decoded, where its beginning tells: that is so where the first meta-block is
 * the last (RFC 7932 section 9). Undefined: it has more than one, or is none.
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
  // A length of more than 16 bits is larger than whatever is asked for here; 7 nibbles are none at all.
  return nibbles === 4 ? take(16) + 1 : undefined;
}

/** The window's size takes 1, 4 or 7 bits. */
function windowFieldBits(first: number): number {
  if ((first & 1) === 0) return 1;
  return (first & 0b1110) === 0 ? 7 : 4;
}
