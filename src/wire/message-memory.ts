/** Size of a slab. One kept message keeps a whole slab in memory, so this is what an idle stream may cost. */
const SLAB_BYTES = 8 * 1024;
/** Larger messages get their own memory: they would leave too much of a slab unused. */
const MAX_SHARED_BYTES = SLAB_BYTES / 4;
/** Larger memory is not reused. This fits one body chunk of Envoy, with the rest of its message. */
const MAX_RECYCLED_BYTES = 256 * 1024;
/** Spare memory in all: enough for the calls that one turn of the event loop works on. */
const MAX_SPARE_BYTES = 4 * 1024 * 1024;

/** Module state: memory that the next small messages share. See {@link messageMemory}. */
let slab = uninitialized(SLAB_BYTES);
/** Module state: the bytes of the slab that messages have. */
let used = 0;

/** Module state: memory for the next large messages, by its size, a multiple of SLAB_BYTES. */
const spares = new Map<number, ArrayBuffer[]>();
/** Module state: the bytes of all spare memory. */
let spareBytes = 0;

/**
 * Memory for one message. It may have old contents: fill all of it before you pass it on.
 *
 * Small messages share slabs. Large ones reuse the memory that {@link recycleMessage} gives back. An allocation for each
 * of 100,000 messages, or of 10,000 body chunks a second, would cost more in garbage collection than all other work for
 * them.
 */
export function messageMemory(length: number): Uint8Array<ArrayBuffer> {
  if (length > MAX_SHARED_BYTES) return ownMemory(length);
  if (used + length > SLAB_BYTES) {
    slab = uninitialized(SLAB_BYTES);
    used = 0;
  }
  const bytes = new Uint8Array(slab, used, length);
  used += length;
  return bytes;
}

/** Memory for a message that is not complete yet. Small ones share no slab: each would keep a slab in memory. */
export function unfinishedMemory(length: number): Uint8Array<ArrayBuffer> {
  return length > MAX_SHARED_BYTES ? ownMemory(length) : new Uint8Array(length);
}

/** Reuses the memory of a message. Nothing may read the message, or a part of it, after this call. */
export function recycleMessage({ buffer }: Uint8Array<ArrayBuffer>): void {
  // A slab has other messages in it.
  if (buffer.byteLength <= SLAB_BYTES || buffer.byteLength > MAX_RECYCLED_BYTES) return;
  if (spareBytes + buffer.byteLength > MAX_SPARE_BYTES) return;
  spareBytes += buffer.byteLength;
  const known = spares.get(buffer.byteLength);
  if (known === undefined) spares.set(buffer.byteLength, [buffer]);
  else known.push(buffer);
}

function ownMemory(length: number): Uint8Array<ArrayBuffer> {
  // Memory between the shared size and the size of a slab is not reused, so the size shows which of the two it is.
  if (length <= SLAB_BYTES || length > MAX_RECYCLED_BYTES) return new Uint8Array(uninitialized(length));
  const size = Math.ceil(length / SLAB_BYTES) * SLAB_BYTES;
  const spare = spares.get(size)?.pop();
  if (spare === undefined) return new Uint8Array(uninitialized(size), 0, length);
  spareBytes -= size;
  return new Uint8Array(spare, 0, length);
}

/** Filling the memory with zeros first would take as long as copying the messages into it. */
function uninitialized(size: number): ArrayBuffer {
  return Buffer.allocUnsafeSlow(size).buffer as ArrayBuffer;
}
