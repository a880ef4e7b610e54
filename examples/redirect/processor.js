import { defineProcessor, immediateResponse } from "ext-proc";

/** The new path for each old one. The query is kept. */
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
    // 308 keeps method and body. Caches and old clients know 301. A location without a host cannot lead to another
    // site.
    const status = method === "GET" || method === "HEAD" ? 301 : 308;
    return immediateResponse(status, { headers: { location: target + query } });
  },
});
