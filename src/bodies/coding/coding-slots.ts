/**
 * Whole bodies in the thread pool at the same time: as many as it has threads. Each has native memory, up to 18 MiB for
 * brotli. The others wait in the order in which they came.
 */
const MAX_AT_WORK = 4;

const waiting: (() => void)[] = [];
let atWork = 0;

/** Runs work on a whole body as soon as a slot is free, in the order of the calls. */
export async function inSlot<T>(work: () => Promise<T>): Promise<T> {
  if (atWork === MAX_AT_WORK) await new Promise<void>((resolve) => waiting.push(resolve));
  else atWork++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    // The next work takes over the slot.
    if (next) next();
    else atWork--;
  }
}

/**
 * Bytes that may be coded in the calling thread in one turn of the event loop, of all bodies: about 10 ms. One small body
 * costs less than a millisecond, but a turn may bring hundreds.
 */
const TURN_BYTES = 4 << 20;
/** The fixed cost of a call, in bytes. */
const CALL_BYTES = 16 << 10;

let usedBytes = 0;

/** True if more bytes may be coded in this turn. */
export function mayCodeNow(): boolean {
  return usedBytes < TURN_BYTES;
}

/** Counts bytes that were coded, or tried without success, in the calling thread. */
export function codedNow(bytes: number): void {
  if (usedBytes === 0) {
    setImmediate(() => {
      usedBytes = 0;
    });
  }
  usedBytes += CALL_BYTES + bytes;
}
