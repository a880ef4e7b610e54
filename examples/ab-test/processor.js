import { appendHeader, clearRouteCache, defineProcessor, setHeader } from "ext-proc";

/** Variants and their shares of new visitors. */
const WEIGHTS = { a: 9, b: 1 };
const COOKIE = "ab";

/**
 * Sends each visitor to one of two variants, and later always to the same one.
 *
 * @param {{ random?: () => number }} [options] `random`: from 0 to below 1; default `Math.random`.
 */
export function abTest({ random = Math.random } = {}) {
  return defineProcessor({
    name: "ab-test",
    state: () => ({ drawn: /** @type {string | undefined} */ (undefined) }),
    requestHeaders(_headers, tx) {
      const known = variantIn(tx.request.get("cookie") ?? "");
      if (known === undefined) tx.state.drawn = draw(random());
      const variant = known ?? tx.state.drawn ?? "a";
      // Envoy's routes match the header. Envoy has already chosen a route, so it must choose again.
      return [setHeader("x-variant", variant), clearRouteCache()];
    },
    responseHeaders(_headers, { state }) {
      if (state.drawn === undefined) return undefined;
      return [
        appendHeader("set-cookie", `${COOKIE}=${state.drawn}; Path=/; Max-Age=2592000; HttpOnly; SameSite=Lax`),
        // A response that sets this cookie is for one visitor only.
        setHeader("cache-control", "private"),
      ];
    },
  });
}

/**
 * The variant that a client's cookie names; undefined if there is no such variant.
 *
 * @param {string} cookies
 */
function variantIn(cookies) {
  const [, value = ""] = new RegExp(`(?:^|;\\s*)${COOKIE}=([^;]*)`).exec(cookies) ?? [];
  return Object.hasOwn(WEIGHTS, value) ? value : undefined;
}

/**
 * The variant for a number from 0 to 1. Each variant has a part of this range, as large as its weight.
 *
 * @param {number} point
 */
function draw(point) {
  let left = point * Object.values(WEIGHTS).reduce((sum, weight) => sum + weight, 0);
  for (const [variant, weight] of Object.entries(WEIGHTS)) {
    left -= weight;
    if (left < 0) return variant;
  }
  return "a";
}

export default abTest();
