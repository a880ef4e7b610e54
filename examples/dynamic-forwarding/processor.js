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
 * The only places a request can go to, by the name that a client may choose. Nothing of what a client sends becomes part
 * of a host: a name that is not in here goes nowhere.
 *
 * @type {ReadonlyMap<string, { cluster: string, authority: string }>}
 */
const BACKENDS = new Map([
  ["stable", { cluster: "stable", authority: "stable.backend.internal" }],
  ["canary", { cluster: "canary", authority: "canary.backend.internal" }],
]);

/** Envoy's routes match it. Clients may not. */
const CLUSTER_HEADER = "x-forward-to-cluster";
const PREFIX = "/via/";

export default defineProcessor({
  name: "dynamic-forwarding",
  // A request that was not checked must not be forwarded by what its client says.
  onFault: "closed",
  requestHeaders(_headers, tx) {
    const { path = "/" } = tx.request;
    // Envoy has selected a route already, perhaps by the client's own header. It must select it again.
    if (!path.startsWith(PREFIX)) return [removeHeader(CLUSTER_HEADER), clearRouteCache()];
    const [, name = "", rest = ""] = /^\/via\/([^/?]*)(.*)$/s.exec(path) ?? [];
    const backend = BACKENDS.get(name);
    if (backend === undefined) return immediateResponse(404, { json: { error: "no such backend" } });
    return [
      setHeader(CLUSTER_HEADER, backend.cluster),
      // Routes match both, so the library makes Envoy select the route again.
      setAuthority(backend.authority),
      setPath(rest.startsWith("/") ? rest : `/${rest}`),
    ];
  },
});
