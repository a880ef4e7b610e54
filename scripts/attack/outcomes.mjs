// How an attacker's requests or connections ended.
export class Outcomes {
  /** @type {Record<string, number>} */
  #counts = {};

  /**
   * @param {string} outcome Such as `413`, `RST_STREAM CANCEL`, `closed`.
   * @param {number} [by]
   */
  add(outcome, by = 1) {
    this.#counts[outcome] = (this.#counts[outcome] ?? 0) + by;
  }

  /** @returns {Readonly<Record<string, number>>} */
  take() {
    return this.#counts;
  }
}

/**
 * @typedef {object} Battle What an attack is run with.
 * @property {import("./server.mjs").Ports & { client: number }} ports `client` is Envoy's, 0 if there is none.
 * @property {number} seconds
 * @property {AbortSignal} signal Aborts when the attack has to end.
 * @property {Outcomes} outcomes
 */

/** Resolves when the attack has to end. @param {AbortSignal} signal @returns {Promise<void>} */
export function untilOver(signal) {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
}

/**
 * Lets the event loop turn, so that answers are read and the end is noticed.
 *
 * @param {number} [ms]
 */
export function turn(ms = 0) {
  return new Promise((resolve) => (ms === 0 ? setImmediate(resolve) : setTimeout(resolve, ms)));
}
