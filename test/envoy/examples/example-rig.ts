import { request as httpRequest } from "node:http";
import { type EnvoyBootstrapOptions, envoyBootstrap, type JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { type EnvoyProcess, startEnvoy } from "../../../src/cli/demo/envoy-process.ts";
import { envoyBinary } from "../envoy-rig.ts";
import type { ExampleConfig } from "./example-config.ts";

/** One example in the Envoy that all of them share. */
export interface ExampleLane {
  readonly name: string;
  readonly config: ExampleConfig;
  readonly extProcPort: number;
}

/** An HTTP/1.1 message as it was on the wire: headers in order, names in lower case. */
export interface WireMessage {
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** What a client sends to an example. */
export interface WireRequest {
  readonly method: string;
  readonly path: string;
  readonly authority: string;
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: string;
}

/** The header by which the upstream learns the cluster that was chosen. The router adds it, behind all filters. */
export const CLUSTER_HEADER = "x-example-cluster";

/** A real Envoy with a listener for each example. */
export interface ExampleEnvoy {
  send(example: string, request: WireRequest): Promise<WireMessage & { readonly status: number }>;
  stop(): Promise<void>;
}

/** Starts it. All clusters of all examples lead to one upstream. */
export async function startExampleEnvoy(lanes: readonly ExampleLane[], upstreamPort: number): Promise<ExampleEnvoy> {
  if (envoyBinary === undefined) throw new Error("there is no Envoy: skip this test with test.skipIf");
  const envoy = await startEnvoy({ binary: envoyBinary, bootstrap: bootstrapOf(lanes, upstreamPort) });
  const ports = await listenerPorts(envoy);
  return {
    send: (example, request) => sendTo(ports.get(example) ?? 0, request),
    stop: () => envoy.stop(),
  };
}

/** `deploy/envoy.yaml` with a listener and a service's cluster for each example. */
function bootstrapOf(lanes: readonly ExampleLane[], upstreamPort: number): JsonObject {
  const merged = { admin: {}, listeners: [] as JsonObject[], clusters: new Map<string, JsonObject>() };
  for (const { name, config, extProcPort } of lanes) {
    const cluster = `ext-proc-${name}`;
    const service = { grpc_service: { envoy_grpc: { cluster_name: cluster, authority: name } } };
    // A shared machine can stall longer than Envoy's 200 ms, which is not what these tests are about.
    const options: EnvoyBootstrapOptions = {
      extProcPort,
      upstreamPort,
      filter: { ...config.filter, ...service, message_timeout: "5s" },
    };
    const { admin, static_resources } = envoyBootstrap(options) as unknown as Bootstrap;
    const [listener] = static_resources.listeners;
    const [extProc, upstream] = static_resources.clusters;
    listener.name = name;
    const manager = listener.filter_chains[0].filters[0].typed_config;
    manager.stat_prefix = name;
    manager.generate_request_id = false;
    manager.route_config.virtual_hosts[0].routes = config.routes.map(tellingCluster);
    merged.admin = admin;
    merged.listeners.push(listener as unknown as JsonObject);
    merged.clusters.set(cluster, { ...extProc, name: cluster });
    for (const { route } of config.routes) merged.clusters.set(route.cluster, { ...upstream, name: route.cluster });
  }
  const { admin, listeners, clusters } = merged;
  return { admin, static_resources: { listeners, clusters: [...clusters.values()] } };
}

interface Bootstrap {
  readonly admin: JsonObject;
  readonly static_resources: { readonly listeners: [Listener]; readonly clusters: [JsonObject, JsonObject] };
}

interface Listener {
  name: string;
  readonly filter_chains: [{ readonly filters: [{ readonly typed_config: ConnectionManager }] }];
}

interface ConnectionManager {
  stat_prefix: string;
  generate_request_id: boolean;
  readonly route_config: { readonly virtual_hosts: [{ routes: unknown }] };
}

function tellingCluster(route: ExampleConfig["routes"][number]): object {
  const header = { key: CLUSTER_HEADER, value: route.route.cluster };
  return { ...route, request_headers_to_add: [{ header, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" }] };
}

async function listenerPorts({ adminPort }: EnvoyProcess): Promise<Map<string, number>> {
  const answer = await fetch(`http://127.0.0.1:${adminPort}/listeners?format=json`);
  const { listener_statuses } = (await answer.json()) as {
    listener_statuses: { name: string; local_address: { socket_address: { port_value: number } } }[];
  };
  return new Map(listener_statuses.map((one) => [one.name, one.local_address.socket_address.port_value]));
}

function sendTo(port: number, sent: WireRequest): Promise<WireMessage & { readonly status: number }> {
  return new Promise((resolve, reject) => {
    const { method, path, authority, headers, body } = sent;
    // A flat list: an object would join what comes twice.
    const lines = [["host", authority], ...headers].flat();
    const request = httpRequest({ host: "127.0.0.1", port, method, path, headers: lines as never, agent: false });
    request.on("error", reject);
    request.on("response", (response) => {
      let text = "";
      response.on("error", reject);
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
      });
      response.on("end", () =>
        resolve({ status: response.statusCode ?? 0, headers: pairs(response.rawHeaders), body: text }),
      );
    });
    request.end(body);
  });
}

/** The headers of Node's `rawHeaders`. */
export function pairs(rawHeaders: readonly string[]): [name: string, value: string][] {
  const lines: [string, string][] = [];
  for (let at = 0; at < rawHeaders.length; at += 2) {
    lines.push([(rawHeaders[at] ?? "").toLowerCase(), rawHeaders[at + 1] ?? ""]);
  }
  return lines;
}
