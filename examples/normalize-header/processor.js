import { clearRouteCache, defineProcessor, setHeader } from "ext-proc";

/** @typedef {"mobile" | "tablet" | "desktop"} DeviceType */

/**
 * What kind of device a `user-agent` names. Far fewer values than there are agents, so that caches may vary by it.
 *
 * @param {string} agent
 * @returns {DeviceType}
 */
function deviceTypeOf(agent) {
  if (/\b(?:iPad|Tablet)\b/i.test(agent)) return "tablet";
  // No expression looks at the rest of the text from each place in it: a client may send 60 KiB.
  if (/\b(?:iPhone|Mobile)\b/i.test(agent)) return "mobile";
  return /\bAndroid\b/i.test(agent) ? "tablet" : "desktop";
}

export default defineProcessor({
  name: "normalize-header",
  requestHeaders: (_headers, tx) => [
    setHeader("client-device-type", deviceTypeOf(tx.request.get("user-agent") ?? "")),
    // Envoy has selected a route already, and must select it again with this header.
    clearRouteCache(),
  ],
});
