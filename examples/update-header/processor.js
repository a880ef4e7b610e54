import { defineProcessor, overwriteHeaderIfExists, removeHeader, setHeader } from "ext-proc";

export default defineProcessor({
  name: "update-header",
  requestHeaders(_headers, tx) {
    const agent = tx.request.get("user-agent");
    return agent === undefined ? undefined : setHeader("user-agent", `${agent} (checked)`);
  },
  responseHeaders(_headers, tx) {
    const error = (tx.response?.status ?? 0) >= 400;
    return [
      // Clients must not learn what software the upstream uses.
      removeHeader("x-powered-by"),
      // Errors stay out of caches where the upstream said anything of caching; other responses keep what they have.
      ...(error ? [overwriteHeaderIfExists("cache-control", "no-store")] : []),
    ];
  },
});
