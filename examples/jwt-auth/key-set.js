import { createLocalJWKSet, errors } from "jose";

/** Timeout of a fetch. A request waits for a fetch at most the processor's `timeoutMs`. */
const FETCH_TIMEOUT_MS = 5_000;

/**
 * A JSON Web Key Set (RFC 7517) in memory. Tokens with invented key ids cause one fetch in each cool-down time, not one
 * in each request. If the issuer is down, requests do not fail while the keys are fresh.
 */
export class KeySet {
  #url;
  #cooldownMs;
  #maxAgeMs;
  #now;
  /** @type {ReturnType<typeof createLocalJWKSet> | undefined} */
  #keys;
  #fetchedAt = Number.NEGATIVE_INFINITY;
  #attemptedAt = Number.NEGATIVE_INFINITY;
  /** @type {Promise<void> | undefined} */
  #fetching;

  /**
   * @param {URL} url
   * @param {{ cooldownMs?: number, maxAgeMs?: number, now?: () => number }} [options] `cooldownMs`: shortest time
   *   between two fetches, default 10 s. `maxAgeMs`: how long keys are used after they were fetched, default 10
   *   minutes. `now`: a clock in milliseconds.
   */
  constructor(url, { cooldownMs = 10_000, maxAgeMs = 600_000, now = () => performance.now() } = {}) {
    this.#url = url;
    this.#cooldownMs = cooldownMs;
    this.#maxAgeMs = maxAgeMs;
    this.#now = now;
  }

  /**
   * Fetches the keys, and rejects if that fails. A call during a fetch gets the result of that fetch.
   *
   * @param {AbortSignal} [signal]
   */
  async load(signal) {
    this.#fetching ??= this.#fetch(signal).finally(() => {
      this.#fetching = undefined;
    });
    await this.#fetching;
  }

  /**
   * The key of a token, for `jwtVerify`. Rejects with one of jose's errors if there is no such key, and with another
   * error if the keys are not known.
   *
   * @type {import("jose").JWTVerifyGetKey}
   */
  find = async (header, token) => {
    const ageMs = this.#now() - this.#fetchedAt;
    if (this.#keys === undefined || ageMs > this.#maxAgeMs) await this.#reload();
    // After half of their time new keys are fetched, while the old ones are still used.
    else if (ageMs > this.#maxAgeMs / 2 && !this.#coolingDown) this.load().catch(() => undefined);
    if (this.#keys === undefined || this.#now() - this.#fetchedAt > this.#maxAgeMs)
      throw new Error("the keys are stale");
    try {
      return await this.#keys(header, token);
    } catch (error) {
      // The key may be newer than the keys in memory.
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#reload())) throw error;
      return await this.#keys(header, token);
    }
  };

  get #coolingDown() {
    return this.#now() - this.#attemptedAt < this.#cooldownMs;
  }

  /** Fetches the keys unless the last attempt was a moment ago. Resolves to true if it fetched them. */
  async #reload() {
    if (this.#fetching === undefined && this.#coolingDown) return false;
    await this.load();
    return true;
  }

  /** @param {AbortSignal} [signal] */
  async #fetch(signal) {
    this.#attemptedAt = this.#now();
    const timeout = AbortSignal.timeout(FETCH_TIMEOUT_MS);
    const response = await fetch(this.#url, {
      headers: { accept: "application/json" },
      redirect: "error",
      signal: signal === undefined ? timeout : AbortSignal.any([timeout, signal]),
    });
    if (!response.ok) throw new Error(`the server of the key set answered ${response.status}`);
    this.#keys = readKeys(await response.json());
    this.#fetchedAt = this.#now();
  }
}

/** @param {unknown} json */
function readKeys(json) {
  try {
    return createLocalJWKSet(/** @type {import("jose").JSONWebKeySet} */ (json));
  } catch (cause) {
    // Not one of jose's errors, because the token is not to blame.
    throw new Error("the server of the key set did not send a key set", { cause });
  }
}
