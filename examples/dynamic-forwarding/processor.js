import {
  clearRouteCache,
  defineProcessor,
  immediateResponse,
  removeHeader,
  setAuthority,
  setHeader,
  setPath,
} from "ext-proc";

/**
 * The backends that a client can choose, by name. Nothing that a client sends becomes part of a host, and a request
 * with any other name is rejected.
 *
 * @type {ReadonlyMap<string, { cluster: string, authority: string }>}
 */
const BACKENDS = new Map([
  ["stable", { cluster: "stable", authority: "stable.backend.internal" }],
  ["canary", { cluster: "canary", authority: "canary.backend.internal" }],
]);

/** Envoy's routes match this header. Clients must not be able to set it. */
const CLUSTER_HEADER = "x-forward-to-cluster";
const PREFIX = "/via/";

export default defineProcessor({
  name: "dynamic-forwarding",
  // A request that was not checked must not be forwarded to a cluster that its client names.
  onFault: "closed",
  requestHeaders(_headers, tx) {
    const { path = "/" } = tx.request;
    // Envoy has already chosen a route, perhaps because of the client's header, so it must choose again.
    if (!path.startsWith(PREFIX)) return [removeHeader(CLUSTER_HEADER), clearRouteCache()];
    const [, name = "", rest = ""] = /^\/via\/([^/?]*)(.*)$/s.exec(path) ?? [];
    const backend = BACKENDS.get(name);
    if (backend === undefined) return immediateResponse(404, { json: { error: "no such backend" } });
    return [
      setHeader(CLUSTER_HEADER, backend.cluster),
      // Routes match both of these, so the server makes Envoy choose its route again.
      setAuthority(backend.authority),
      setPath(rest.startsWith("/") ? rest : `/${rest}`),
    ];
  },
});
