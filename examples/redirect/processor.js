import { defineProcessor, immediateResponse } from "ext-proc";

/** Where old paths went. The query goes along. */
const MOVED = new Map([
  ["/old", "/new"],
  ["/docs/start", "/guide/"],
]);

export default defineProcessor({
  name: "redirect",
  requestHeaders(_headers, tx) {
    const { method, path = "/" } = tx.request;
    const [, name = "", query = ""] = /^([^?]*)(.*)$/s.exec(path) ?? [];
    const target = MOVED.get(name);
    if (target === undefined) return undefined;
    // 308 keeps method and body; 301 is what caches and old clients know. A location without a host leads nowhere else.
    const status = method === "GET" || method === "HEAD" ? 301 : 308;
    return immediateResponse(status, { headers: { location: target + query } });
  },
});
