/** The bytes in front of each gRPC message: a flag, and four bytes of length. gRPC-Web and streams of Connect have them too. */
export const GRPC_PREFIX_BYTES = 5;

/** Returns the length that the prefix at an offset announces. */
export function lengthInPrefix(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
}

/** Writes the prefix of a message, and returns the offset after it. */
export function writePrefix(target: Uint8Array, at: number, flag: number, length: number): number {
  target[at] = flag;
  target[at + 1] = length >>> 24;
  target[at + 2] = length >>> 16;
  target[at + 3] = length >>> 8;
  target[at + 4] = length;
  return at + GRPC_PREFIX_BYTES;
}

/** Returns a message with its prefix, in new memory. */
export function withPrefix(flag: number, message: Uint8Array): Uint8Array<ArrayBuffer> {
  const framed = new Uint8Array(GRPC_PREFIX_BYTES + message.length);
  framed.set(message, writePrefix(framed, 0, flag, message.length));
  return framed;
}
