/** Frame types (RFC 9113 section 6). */
export const DATA = 0x0;
export const HEADERS = 0x1;
export const PRIORITY = 0x2;
export const RST_STREAM = 0x3;
export const SETTINGS = 0x4;
export const PUSH_PROMISE = 0x5;
export const PING = 0x6;
export const GOAWAY = 0x7;
export const WINDOW_UPDATE = 0x8;
export const CONTINUATION = 0x9;

/** Frame flags. Each one has a meaning for some types only. */
export const END_STREAM = 0x01;
export const ACK = 0x01;
export const END_HEADERS = 0x04;
export const PADDED = 0x08;
export const PRIORITY_FLAG = 0x20;

/** Bytes of a frame header (RFC 9113 section 4.1). */
export const FRAME_HEADER_BYTES = 9;
/** The first bytes of every connection (RFC 9113 section 3.4). */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");
/** The highest stream identifier (RFC 9113 section 5.1.1). */
export const MAX_STREAM_ID = 0x7fffffff;

/**
 * A received frame. Each connection has one such object. It holds the next frame as soon as the call that it was passed
 * to returns. Its payload is `bytes[start..end)`, in the socket's read buffer, without padding and pad length.
 */
export interface Frame {
  type: number;
  flags: number;
  /** 0 for the connection. */
  streamId: number;
  /** Length of the whole payload, padding included: what flow control counts (RFC 9113 section 6.9.1). */
  length: number;
  bytes: Buffer;
  start: number;
  end: number;
}

/** Reads an unsigned 32 bit number, most significant byte first. */
export function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (((bytes[at] ?? 0) << 24) | ((bytes[at + 1] ?? 0) << 16) | ((bytes[at + 2] ?? 0) << 8) | (bytes[at + 3] ?? 0)) >>> 0
  );
}

/** Reads 31 bits, as stream identifiers and window increments have: the reserved bit is ignored. */
export function readUint31(bytes: Uint8Array, at: number): number {
  return readUint32(bytes, at) & 0x7fffffff;
}

/** Writes an unsigned 32 bit number, most significant byte first. */
export function writeUint32(bytes: Uint8Array, at: number, value: number): void {
  bytes[at] = value >>> 24;
  bytes[at + 1] = value >>> 16;
  bytes[at + 2] = value >>> 8;
  bytes[at + 3] = value;
}
