import { slotOf } from "./stream-index.ts";

const SLOTS = 1024;

/** What is known of a stream that is not open: never used, closed by both sides, reset by the server, or forgotten. */
export type ClosedState = "idle" | "ended" | "reset" | "forgotten";

/**
 * Remembers how streams were closed (RFC 9113 section 5.1, "closed"). Frames that were on their way when the server
 * sent RST_STREAM are not an error of the client. Frames after the client's END_STREAM are. Each identifier has one of
 * 1,024 slots (4 KiB), so a look-up costs the same under attack. A newer identifier in the slot means that the older
 * one is forgotten.
 */
export class ClosedStreams {
  readonly #slots = new Int32Array(SLOTS);

  /** Both sides have ended the stream, or the client has reset it. */
  addEnded(id: number): void {
    this.#add(id, id);
  }

  /** The server has reset the stream. */
  addReset(id: number): void {
    this.#add(id, -id);
  }

  /**
   * Returns how a stream was closed. `id` must not be open, and not higher than the highest that the client has used.
   */
  stateOf(id: number): ClosedState {
    const found = this.#slots[slotOf(id, SLOTS - 1)] ?? 0;
    if (found === -id) return "reset";
    if (found === id) return "ended";
    return Math.abs(found) > id ? "forgotten" : "idle";
  }

  // A long-lived stream must not push out a newer one, because late frames of the newer stream are more likely.
  #add(id: number, value: number): void {
    const slot = slotOf(id, SLOTS - 1);
    if (Math.abs(this.#slots[slot] ?? 0) <= id) this.#slots[slot] = value;
  }
}
