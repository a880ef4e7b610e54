import type { Timer, VirtualClock } from "../http/virtual-clock.ts";

/**
 * The timeout for answers of one direction. Every message restarts it, and every answer stops it, even if older
 * messages are still unanswered.
 */
export class MessageTimer {
  readonly #clock: VirtualClock;
  readonly #onTimeout: () => void;
  #timer: Timer | undefined;
  #extended = false;

  constructor(clock: VirtualClock, onTimeout: () => void) {
    this.#clock = clock;
    this.#onTimeout = onTimeout;
  }

  start(timeoutMs: number): void {
    this.#set(timeoutMs);
    this.#extended = false;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#extended = false;
  }

  /**
   * Applies `override_message_timeout`: once for each message, and only while the timer runs. Returns false if it is
   * refused.
   */
  extend(timeoutMs: number): boolean {
    if (this.#timer === undefined || this.#extended) return false;
    this.#set(timeoutMs);
    this.#extended = true;
    return true;
  }

  #set(timeoutMs: number): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.after(timeoutMs, () => {
      this.#timer = undefined;
      this.#onTimeout();
    });
  }
}
