// The whole way: HTTP/1.1 requests through a real Envoy with deploy/envoy.yaml, unchanged but for its ports.
import { h2load } from "../harness/h2load.mjs";
import { openLoop } from "../harness/open-loop.mjs";
import { startPeer } from "../harness/peer-server.mjs";
import { cpuPer, LATENCY, latencyValues, PEAK_MEMORY, perSecond } from "./metrics.mjs";
import { throughputOf } from "./throughput.mjs";

const CLIENTS = 8;
const PROBE_REQUESTS = 200;
// As many as a rate of half the capacity ever needs at once, and then some.
const PACED_CONNECTIONS = 64;

/** @type {import("./scenarios.mjs").Scenario} */
export const behindEnvoy = {
  name: "envoy",
  title: "behind Envoy (one worker, deploy/envoy.yaml), 8 HTTP/1.1 clients, a request and a response a stream",
  quick: true,
  task: "hello",
  needs: ["h2load", "load", "envoy"],
  metrics: [
    cpuPer("request"),
    perSecond("requests"),
    { key: "lost", label: "lost", digits: 0 },
    { key: "connections", label: "connections", digits: 0 },
    ...LATENCY,
    PEAK_MEMORY,
  ],
  compared: "cpuUs",
  async prepare(context) {
    const { startEnvoy } = await envoyTools();
    const upstream = await startEnvoy({ binary: context.envoyBinary, bootstrap: UPSTREAM });
    return { port: upstream.port, close: () => upstream.stop() };
  },
  async open(peer, context, upstreamPort) {
    const { envoyBootstrap, startEnvoy } = await envoyTools();
    const server = await startPeer(peer, "hello");
    const extProcPort = Number(server.address.split(":")[1]);
    const bootstrap = envoyBootstrap({ extProcPort, upstreamPort });
    const envoy = await startEnvoy({ binary: context.envoyBinary, bootstrap });
    const address = `127.0.0.1:${envoy.port}`;
    const throughput = throughputOf({
      server,
      probe: PROBE_REQUESTS,
      load: (requests) => h2load({ url: `http://${address}/`, connections: CLIENTS, inFlight: 1, requests }),
    });
    return {
      warmUp: () => throughput.warmUp(context.warmUpSeconds),
      async measure() {
        const { seconds } = context;
        const { requests, good, cpuSeconds, perSecond: rate } = await throughput.measure(seconds);
        const latency = await openLoop({ address, connections: PACED_CONNECTIONS, ratePerSecond: rate / 2, seconds });
        const { upstream_cx_total: connections = 0 } = await envoy.stats("cluster.ext-proc.");
        const lost = requests - good + latency.failed;
        const cpuUs = (cpuSeconds * 1e6) / requests;
        const peakMiB = server.memoryMiB("VmHWM");
        return { cpuUs, perSecond: rate, lost, connections, ...latencyValues(latency), peakMiB };
      },
      async close() {
        await envoy.stop();
        await server.stop();
      },
    };
  },
};

/** The tools by which the demo and the tests run Envoy; they come from the build of this project. */
async function envoyTools() {
  const folder = new URL("../../dist/cli/demo/", import.meta.url);
  /** @type {typeof import("../../src/cli/demo/envoy-bootstrap.ts")} */
  const { envoyBootstrap } = await import(new URL("envoy-bootstrap.js", folder).href);
  /** @type {typeof import("../../src/cli/demo/envoy-process.ts")} */
  const { startEnvoy } = await import(new URL("envoy-process.js", folder).href);
  return { envoyBootstrap, startEnvoy };
}

const LOOPBACK = { socket_address: { address: "127.0.0.1", port_value: 0 } };
const CONNECTION_MANAGER = {
  "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
  stat_prefix: "upstream",
  http_filters: [
    {
      name: "envoy.filters.http.router",
      typed_config: { "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" },
    },
  ],
  route_config: {
    virtual_hosts: [
      {
        name: "all",
        domains: ["*"],
        routes: [{ match: { prefix: "/" }, direct_response: { status: 200, body: { inline_string: "hello\n" } } }],
      },
    ],
  },
};
/** A second Envoy is the upstream: it costs the least and gives every request the same answer. */
export const UPSTREAM = {
  static_resources: {
    listeners: [
      {
        name: "upstream",
        address: LOOPBACK,
        filter_chains: [
          {
            filters: [{ name: "envoy.filters.network.http_connection_manager", typed_config: CONNECTION_MANAGER }],
          },
        ],
      },
    ],
  },
  admin: { address: LOOPBACK },
};
