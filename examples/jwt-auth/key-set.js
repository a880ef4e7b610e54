import { createLocalJWKSet, errors } from "jose";

/** How long a fetch may take. A request waits for it no longer than the processor's `timeoutMs`. */
const FETCH_TIMEOUT_MS = 5_000;

/**
 * A JSON Web Key Set (RFC 7517) kept in memory. A client that sends tokens with invented key ids causes one fetch per
 * cool-down, not one per request. An issuer that is down has no effect while the keys are fresh.
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
   * @param {{ cooldownMs?: number, maxAgeMs?: number, now?: () => number }} [options] `cooldownMs`: shortest time between
   * two fetches, default 10 s. `maxAgeMs`: how long keys are used after they were fetched, default 10 minutes. `now`: a
   * clock in milliseconds.
   */
  constructor(url, { cooldownMs = 10_000, maxAgeMs = 600_000, now = () => performance.now() } = {}) {
    this.#url = url;
    this.#cooldownMs = cooldownMs;
    this.#maxAgeMs = maxAgeMs;
    this.#now = now;
  }

  /**
   * Fetches the keys; rejects if that fails. A call during a running fetch gets the result of that fetch.
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
   * The key of a token, for `jwtVerify`. Rejects with one of jose's errors if there is none, and with another error if
   * that is unknown.
   *
   * @type {import("jose").JWTVerifyGetKey}
   */
  find = async (header, token) => {
    const ageMs = this.#now() - this.#fetchedAt;
    if (this.#keys === undefined || ageMs > this.#maxAgeMs) await this.#reload();
    // Half of their time is over: newer ones are fetched while these still serve.
    else if (ageMs > this.#maxAgeMs / 2 && !this.#coolingDown) this.load().catch(() => undefined);
    if (this.#keys === undefined || this.#now() - this.#fetchedAt > this.#maxAgeMs)
      throw new Error("the keys are stale");
    try {
      return await this.#keys(header, token);
    } catch (error) {
      // Perhaps a key that is newer than ours.
      if (!(error instanceof errors.JWKSNoMatchingKey) || !(await this.#reload())) throw error;
      return await this.#keys(header, token);
    }
  };

  get #coolingDown() {
    return this.#now() - this.#attemptedAt < this.#cooldownMs;
  }

  /** Fetches the keys unless that was tried a moment ago; gives whether it did. */
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
    if (!response.ok) throw new Error(`the key set's server answered ${response.status}`);
    this.#keys = readKeys(await response.json());
    this.#fetchedAt = this.#now();
  }
}

/** @param {unknown} json */
function readKeys(json) {
  try {
    return createLocalJWKSet(/** @type {import("jose").JSONWebKeySet} */ (json));
  } catch (cause) {
    // Not one of jose's errors: no token is to blame.
    throw new Error("the key set's server did not send a key set", { cause });
  }
}
