/**
 * The same bytes as a plain Uint8Array over an ArrayBuffer, copied only if there is no other way: `slice()` of a
 * Buffer does not copy, and what is shared with other threads may change any time.
 */
export function plainBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!hasOwnMemory(bytes)) return new Uint8Array(bytes);
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The same bytes as from {@link plainBytes}, copied if they would keep much more memory alive than they need. */
export function compactBytes(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.length * 2 < bytes.buffer.byteLength ? new Uint8Array(bytes) : plainBytes(bytes);
}

/** Joins parts in new memory. A single part is returned as it is. */
export function joinBytes<Bytes extends Uint8Array>(parts: readonly Bytes[]): Bytes | Uint8Array<ArrayBuffer> {
  const [first] = parts;
  if (first !== undefined && parts.length === 1) return first;
  let length = 0;
  for (const part of parts) length += part.length;
  const joined = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

function hasOwnMemory(bytes: Uint8Array): bytes is Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer;
}
