import { addHeaderIfAbsent, defineProcessor, header, immediateResponse, setHeader } from "ext-proc";

/**
 * The tenant that a request is for.
 *
 * @param {import("ext-proc").HttpHeaders} headers
 */
export function tenantOf(headers) {
  const [tenant] = (header(headers, ":authority") ?? "").split(".");
  return tenant === "" || tenant === "www" ? undefined : tenant;
}

export default defineProcessor({
  name: "tenant",
  requestHeaders(headers) {
    const tenant = tenantOf(headers);
    return tenant === undefined ? immediateResponse(404) : setHeader("x-tenant", tenant);
  },
  responseHeaders: () => addHeaderIfAbsent("cache-control", "no-store"),
});
