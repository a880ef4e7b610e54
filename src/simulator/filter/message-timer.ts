import type { Timer, VirtualClock } from "../http/virtual-clock.ts";

/**
 * The time a server has for an answer, one timer a direction. Every message sent starts it again and every answer stops
 * it, even if older messages are still unanswered.
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

  /** `override_message_timeout`: once a message, and only while the timer runs. False if it is refused. */
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
