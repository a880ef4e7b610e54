// A real Envoy in front of the server, with an upstream that reads every body.
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

/**
 * @typedef {object} Front
 * @property {number} port Envoy's listener.
 * @property {() => Promise<Readonly<Record<string, number>>>} counters Of the ext_proc filter.
 * @property {() => Promise<void>} stop
 */

const upstreamFile = fileURLToPath(new URL("upstream.mjs", import.meta.url));

/**
 * @param {string | undefined} binary
 * @param {number} extProcPort
 * @param {object} [filter] Merged into the filter's configuration of deploy/envoy.yaml.
 * @returns {Promise<Front>}
 */
export async function startFront(binary, extProcPort, filter = {}) {
  if (binary === undefined) throw new Error("this attack needs an Envoy: npm run envoy:install");
  // As built: dist/ is there, since the server runs from it.
  const { envoyBootstrap } = await import(new URL("../../dist/cli/demo/envoy-bootstrap.js", import.meta.url).href);
  const { startEnvoy } = await import(new URL("../../dist/cli/demo/envoy-process.js", import.meta.url).href);
  const upstream = fork(upstreamFile);
  const [upstreamPort] = await once(upstream, "message");
  try {
    const bootstrap = envoyBootstrap({ extProcPort, upstreamPort, filter });
    bufferBodiesOf("/hang", bootstrap);
    const envoy = await startEnvoy({ binary, bootstrap });
    return {
      port: envoy.port,
      counters: () => envoy.stats("http.ingress_http.ext_proc."),
      stop: async () => {
        await envoy.stop();
        upstream.disconnect();
      },
    };
  } catch (error) {
    upstream.disconnect();
    throw error;
  }
}

/**
 * A route of its own whose request bodies Envoy buffers, whatever the filter's mode is.
 *
 * @param {string} path
 * @param {any} bootstrap
 */
function bufferBodiesOf(path, bootstrap) {
  const { filters } = bootstrap.static_resources.listeners[0].filter_chains[0];
  const { routes } = filters[0].typed_config.route_config.virtual_hosts[0];
  const overrides = { processing_mode: { request_body_mode: "BUFFERED", response_header_mode: "SEND" } };
  const perRoute = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
    overrides,
  };
  routes.unshift({
    ...routes[0],
    match: { path },
    typed_per_filter_config: { "envoy.filters.http.ext_proc": perRoute },
  });
}
