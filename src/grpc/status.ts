/**
 * Percent-encodes a status message for `grpc-message`: UTF-8, with everything but printable ASCII and `%` itself
 * escaped (gRPC over HTTP/2, "Status-Message"); so are blanks at either end, which no header value may have (RFC 9113
 * section 8.2.1).
 */
export function encodeGrpcMessage(text: string): string {
  if (/^[\x20-\x24\x26-\x7e]*$/.test(text)) return escapeEnds(text);
  let encoded = "";
  for (const byte of new TextEncoder().encode(text)) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, "0")}`;
  }
  return escapeEnds(encoded);
}

function escapeEnds(text: string): string {
  return text.replace(/^ | $/g, "%20");
}
