// What honest requests have seen: how many were sent, how the failed ones ended, and how long the others took.

/**
 * @typedef {object} Honest
 * @property {number} sent
 * @property {Readonly<Record<string, number>>} failed Numbers of failures by their reason.
 * @property {number} p50Ms
 * @property {number} p99Ms
 * @property {number} maxMs
 */

export class HonestTally {
  #sent = 0;
  /** @type {Record<string, number>} */
  #failed = {};
  /** @type {number[]} */
  #tookMs = [];

  /** @param {number} tookMs */
  succeeded(tookMs) {
    this.#sent++;
    this.#tookMs.push(tookMs);
  }

  /** @param {string} reason */
  failed(reason) {
    this.#sent++;
    this.#failed[reason] = (this.#failed[reason] ?? 0) + 1;
  }

  /** @returns {Honest} */
  take() {
    const sorted = this.#tookMs.toSorted((a, b) => a - b);
    const at = (/** @type {number} */ share) =>
      sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
    const taken = { sent: this.#sent, failed: this.#failed, p50Ms: at(0.5), p99Ms: at(0.99), maxMs: at(1) };
    this.#sent = 0;
    this.#failed = {};
    this.#tookMs = [];
    return taken;
  }
}

/**
 * Calls `start` so many times a second until `isOver`: late calls are made up for, so a stall delays no later request.
 *
 * @param {number} perSecond
 * @param {(dueMs: number) => void} start Gets the time at which the request was due: a wait for it counts.
 * @param {() => boolean} isOver
 */
export async function atRate(perSecond, start, isOver) {
  const startedMs = performance.now();
  for (let n = 0; !isOver(); ) {
    const nowMs = performance.now();
    for (let dueMs = startedMs + (n * 1000) / perSecond; dueMs <= nowMs; dueMs += 1000 / perSecond, n++) start(dueMs);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
