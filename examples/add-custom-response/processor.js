import { defineProcessor, immediateResponse } from "ext-proc";

const ROBOTS = "User-agent: *\nDisallow: /\n";

export default defineProcessor({
  name: "add-custom-response",
  requestHeaders(_headers, tx) {
    const path = tx.request.path?.split("?", 1)[0];
    if (path === "/robots.txt") return immediateResponse(200, { text: ROBOTS });
    if (path === "/beta" || path?.startsWith("/beta/")) {
      return immediateResponse(503, {
        json: { error: "under maintenance" },
        headers: { "retry-after": "120", "cache-control": "no-store" },
        details: "maintenance",
      });
    }
    return undefined;
  },
  responseHeaders(_headers, tx) {
    // The upstream's own error page could reveal internals, so it is never sent.
    if (tx.response?.status !== 500) return undefined;
    return immediateResponse(502, { json: { error: "something went wrong" } });
  },
});
