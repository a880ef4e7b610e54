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
      // Clients must not learn which software the upstream runs.
      removeHeader("x-powered-by"),
      // Keeps errors out of caches if the upstream sent cache-control. Other responses stay unchanged.
      ...(error ? [overwriteHeaderIfExists("cache-control", "no-store")] : []),
    ];
  },
});
