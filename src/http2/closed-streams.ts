import { slotOf } from "./stream-index.ts";

const SLOTS = 1024;

/** What is known of a stream identifier that is not open: never used, closed by both sides, reset by us, or forgotten. */
export type ClosedState = "idle" | "ended" | "reset" | "forgotten";

/**
 * Remembers how streams were closed (RFC 9113 section 5.1, "closed"). Frames that were on their way when we sent RST_STREAM
 * are not an error of the client. Frames after the client's END_STREAM are. Each identifier has one of 1,024 slots (4 KiB), so a
 * look-up costs the same under attack; a newer identifier in the slot means that the older one is forgotten.
 */
export class ClosedStreams {
  readonly #slots = new Int32Array(SLOTS);

  /** Both sides have ended the stream, or the peer has reset it. */
  addEnded(id: number): void {
    this.#add(id, id);
  }

  /** We have reset the stream. */
  addReset(id: number): void {
    this.#add(id, -id);
  }

  /** `id` must be no higher than the highest identifier the peer has used, and not open. */
  stateOf(id: number): ClosedState {
    const found = this.#slots[slotOf(id, SLOTS - 1)] ?? 0;
    if (found === -id) return "reset";
    if (found === id) return "ended";
    return Math.abs(found) > id ? "forgotten" : "idle";
  }

  // A long-lived stream must not push out a newer one, whose late frames are the likelier.
  #add(id: number, value: number): void {
    const slot = slotOf(id, SLOTS - 1);
    if (Math.abs(this.#slots[slot] ?? 0) <= id) this.#slots[slot] = value;
  }
}
