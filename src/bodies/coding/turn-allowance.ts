/**
 * Bytes that may be coded in the calling thread in one turn of the event loop, of all bodies: about 10 ms. One small body
 * costs less than a millisecond, but a turn may bring hundreds.
 */
const TURN_BYTES = 4 << 20;
/** What a call costs whatever it does, as bytes. */
const CALL_BYTES = 16 << 10;

let usedBytes = 0;

/** True while this turn may cost more. */
export function mayCodeNow(): boolean {
  return usedBytes < TURN_BYTES;
}

/** Counts bytes that were coded, or tried in vain, in the calling thread. */
export function codedNow(bytes: number): void {
  if (usedBytes === 0) {
    setImmediate(() => {
      usedBytes = 0;
    });
  }
  usedBytes += CALL_BYTES + bytes;
}
