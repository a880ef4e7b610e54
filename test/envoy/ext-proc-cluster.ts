import { envoyBootstrap, type JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";

/** How Envoy reaches the ext_proc service, if it is not as in deploy/envoy.yaml. */
export interface ExtProcClusterOptions {
  /** Ports on 127.0.0.1, one an endpoint. */
  readonly ports: readonly number[];
  readonly upstreamPort: number;
  /** Name of the cluster. Default `ext-proc`. */
  readonly name?: string | undefined;
  /** The call's `authority`; null leaves it out. Default as in deploy/envoy.yaml. */
  readonly authority?: string | null | undefined;
  /** More of `envoy.config.core.v3.GrpcService`. */
  readonly grpcService?: JsonObject | undefined;
  /** More of `envoy.config.cluster.v3.Cluster`. */
  readonly cluster?: JsonObject | undefined;
  /** More of the filter. */
  readonly filter?: JsonObject | undefined;
}

/** The bootstrap of deploy/envoy.yaml with another cluster for the service. */
export function bootstrapWithCluster(options: ExtProcClusterOptions): JsonObject {
  const { ports, upstreamPort, name = "ext-proc", authority, grpcService = {}, cluster = {}, filter = {} } = options;
  const envoyGrpc = { cluster_name: name, ...(authority !== undefined && { authority }) };
  const bootstrap = envoyBootstrap({
    extProcPort: ports[0] ?? 0,
    upstreamPort,
    // A shared machine can stall longer than Envoy's 200 ms, which is not what these tests are about.
    filter: { message_timeout: "5s", ...filter, grpc_service: { envoy_grpc: envoyGrpc, ...grpcService } },
  }) as unknown as { static_resources: { clusters: [JsonObject, JsonObject] } };
  const [extProc, upstream] = bootstrap.static_resources.clusters;
  const endpoints = ports.map((port) => ({
    endpoint: { address: { socket_address: { address: "127.0.0.1", port_value: port } } },
  }));
  const assignment = { cluster_name: name, endpoints: [{ lb_endpoints: endpoints }] };
  bootstrap.static_resources.clusters = [{ ...extProc, name, load_assignment: assignment, ...cluster }, upstream];
  return bootstrap as unknown as JsonObject;
}
