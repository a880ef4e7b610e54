/**
 * Whether what HTTP calls deflate has zlib's wrapping, as it should (RFC 9110 section 8.4.1.2), or is raw, as some
 * servers send it. The two bytes of zlib's header (RFC 1950 section 2.2) carry a check: a raw body that passes for it
 * would have to begin with a stored block whose padding is not zero, which no encoder writes.
 */
export function deflateFormat(first: number, second: number): "deflate" | "deflate-raw" {
  const isZlib = (first & 0x0f) === 8 && first >>> 4 <= 7 && ((first << 8) | second) % 31 === 0;
  return isZlib ? "deflate" : "deflate-raw";
}
