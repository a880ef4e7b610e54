/** The largest flow-control window (RFC 9113 section 6.9.1). */
export const MAX_WINDOW_BYTES = 0x7fffffff;
/** Every window until SETTINGS or WINDOW_UPDATE say otherwise (RFC 9113 section 6.9.2). */
export const DEFAULT_WINDOW_BYTES = 65_535;

/**
 * The bytes that the client lets the server send. They can be below zero after the client has lowered
 * SETTINGS_INITIAL_WINDOW_SIZE (section 6.9.2).
 */
export class SendWindow {
  availableBytes: number;

  constructor(bytes: number) {
    this.availableBytes = bytes;
  }

  /**
   * Adds a WINDOW_UPDATE or a change of SETTINGS. Returns false if the window would exceed 2^31-1, a
   * FLOW_CONTROL_ERROR.
   */
  grow(bytes: number): boolean {
    this.availableBytes += bytes;
    return this.availableBytes <= MAX_WINDOW_BYTES;
  }
}

/**
 * The bytes that the server lets the client send. Credit is given back in halves of the window: one WINDOW_UPDATE for
 * many frames.
 */
export class ReceiveWindow {
  readonly #sizeBytes: number;
  #availableBytes: number;
  #consumedBytes = 0;

  constructor(sizeBytes: number) {
    this.#sizeBytes = sizeBytes;
    this.#availableBytes = sizeBytes;
  }

  /** Counts received bytes. Returns false if the client sent more than it was allowed to. */
  take(bytes: number): boolean {
    this.#availableBytes -= bytes;
    return this.#availableBytes >= 0;
  }

  /**
   * Marks bytes as processed. Returns the credit to announce now, which is 0 until half of the window has been used.
   */
  consume(bytes: number): number {
    const credit = this.#consumedBytes + bytes;
    if (credit * 2 < this.#sizeBytes) {
      this.#consumedBytes = credit;
      return 0;
    }
    this.#consumedBytes = 0;
    this.#availableBytes += credit;
    return credit;
  }
}
