// Asks the status port, as the kubelet's liveness probe does, and keeps how long answers take.
import { setTimeout as delay } from "node:timers/promises";

/** @typedef {{ asked: number, failed: number, slowestMs: number }} Probed */

const INTERVAL_MS = 500;
/** `timeoutSeconds` of the liveness probe in deploy/ext.yaml. */
const TIMEOUT_MS = 5000;

export class StatusProbe {
  #port;
  #isOver = true;
  /** @type {Promise<void>} */
  #loop = Promise.resolve();
  /** @type {Probed} */
  #seen = { asked: 0, failed: 0, slowestMs: 0 };

  /** @param {number} port */
  constructor(port) {
    this.#port = port;
  }

  start() {
    this.#isOver = false;
    this.#loop = this.#ask();
  }

  /** @returns {Promise<Probed>} */
  async stop() {
    this.#isOver = true;
    await this.#loop;
    return this.#seen;
  }

  async #ask() {
    while (!this.#isOver) {
      const startedMs = performance.now();
      // A new connection for each request, as the kubelet has.
      const options = { signal: AbortSignal.timeout(TIMEOUT_MS), headers: { connection: "close" } };
      const answer = await fetch(`http://127.0.0.1:${this.#port}/healthz`, options).catch(() => undefined);
      const text = await answer?.text().catch(() => undefined);
      const isGood = answer?.ok === true && text !== undefined;
      this.#seen.asked++;
      if (!isGood) this.#seen.failed++;
      this.#seen.slowestMs = Math.max(this.#seen.slowestMs, performance.now() - startedMs);
      await delay(INTERVAL_MS);
    }
  }
}
