import { clearRouteCache, defineProcessor, setHeader } from "ext-proc";

/** @typedef {"mobile" | "tablet" | "desktop"} DeviceType */

/**
 * The kind of device that a `user-agent` names. There are far fewer kinds than agents, so caches can vary by it.
 *
 * @param {string} agent
 * @returns {DeviceType}
 */
function deviceTypeOf(agent) {
  if (/\b(?:iPad|Tablet)\b/i.test(agent)) return "tablet";
  // A client can send 60 KiB, so no expression here scans the rest of the text from each position.
  if (/\b(?:iPhone|Mobile)\b/i.test(agent)) return "mobile";
  return /\bAndroid\b/i.test(agent) ? "tablet" : "desktop";
}

export default defineProcessor({
  name: "normalize-header",
  requestHeaders: (_headers, tx) => [
    setHeader("client-device-type", deviceTypeOf(tx.request.get("user-agent") ?? "")),
    // Envoy has already chosen a route. It must choose again, with this header.
    clearRouteCache(),
  ],
});
