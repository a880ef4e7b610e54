/** What one kept message can pin beyond itself, and so what an idle stream may cost. */
const SLAB_BYTES = 8 * 1024;
/** Larger messages get memory of their own: they would leave too much of a slab unused. */
const MAX_SHARED_BYTES = SLAB_BYTES / 4;

let slab = new ArrayBuffer(SLAB_BYTES);
let used = 0;

/**
 * Memory for one message. Small ones share slabs: an allocation of its own for each of a hundred thousand messages a
 * second costs more in garbage collection than everything else that is done for them.
 */
export function messageBytes(length: number): Uint8Array<ArrayBuffer> {
  if (length > MAX_SHARED_BYTES) return new Uint8Array(length);
  if (used + length > SLAB_BYTES) {
    slab = new ArrayBuffer(SLAB_BYTES);
    used = 0;
  }
  const bytes = new Uint8Array(slab, used, length);
  used += length;
  return bytes;
}
