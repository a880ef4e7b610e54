import { envoyBootstrap, type JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";

/** A shared machine can stall longer than Envoy's 200 ms, which only some scenes are about. */
export const SCENE_MESSAGE_TIMEOUT_MS = 5_000;

/** How Envoy is configured for a scene: what differs from deploy/envoy.yaml. */
export interface SceneConfig {
  /** Merged into the ext_proc filter; `message_timeout` is 5 s unless it says otherwise. */
  readonly filter?: JsonObject;
  /** Path of the ext_proc service's `http_service` variant, which then is what the filter calls. */
  readonly httpServicePath?: string;
  /** Fields of the HTTP connection manager. `stream_idle_timeout` is 5 s unless given. */
  readonly manager?: JsonObject;
  /** HTTP filters in front of ext_proc. */
  readonly filtersBefore?: readonly JsonObject[];
  /** Virtual hosts instead of the only one, whose only route leads to the upstream. */
  readonly virtualHosts?: (clusters: SceneClusters) => readonly JsonObject[];
  /** How much of a body Envoy buffers, in bytes. Default: its own, 1 MiB. */
  readonly bufferLimitBytes?: number | undefined;
  /** Fields of the access log's line, by name, as Envoy's format strings. */
  readonly logged?: Readonly<Record<string, string>>;
}

/** A scene with its place: a name for everything that Envoy calls by name, and the ports behind it. */
export interface PlacedScene extends SceneConfig {
  readonly name: string;
  readonly extProcPort: number;
  readonly upstreamPort: number;
}

/** Names of a scene's clusters. */
export interface SceneClusters {
  readonly extProc: string;
  readonly upstream: string;
}

interface Bootstrap extends JsonObject {
  readonly static_resources: {
    readonly listeners: readonly [Listener];
    readonly clusters: readonly [Cluster, Cluster];
  };
}
interface Listener extends JsonObject {
  readonly filter_chains: readonly [{ readonly filters: readonly [{ readonly name: string; typed_config: Manager }] }];
}
interface Manager extends JsonObject {
  readonly http_filters: readonly JsonObject[];
}
interface Cluster extends JsonObject {
  readonly load_assignment: JsonObject;
}

/** The clusters of the scene of this name. */
export function clustersOf(name: string): SceneClusters {
  return { extProc: `${name}-ext-proc`, upstream: `${name}-upstream` };
}

/** What scenes share. */
export interface BootstrapOptions {
  readonly accessLogPath: string;
  /** Envoy's runtime guards and values. */
  readonly runtime?: JsonObject | undefined;
}

/**
 * One bootstrap for many scenes. Each has its own listener and clusters, named after it, and its name as
 * `stat_prefix`, so that they share only the process.
 */
export function bootstrapOf(
  scenes: readonly PlacedScene[],
  { accessLogPath, runtime = {} }: BootstrapOptions,
): JsonObject {
  const each = scenes.map((scene) => resourcesOf(scene, accessLogPath));
  const { admin } = envoyBootstrap({ extProcPort: 1, upstreamPort: 1 });
  return {
    admin: admin ?? {},
    layered_runtime: { layers: [{ name: "static", static_layer: runtime }] },
    static_resources: {
      listeners: each.map(({ listener }) => listener),
      clusters: each.flatMap(({ clusters }) => clusters),
    },
  };
}

function resourcesOf(scene: PlacedScene, accessLogPath: string): { listener: JsonObject; clusters: JsonObject[] } {
  const { name, extProcPort, upstreamPort, filter: { grpc_service: grpcService, ...filter } = {} } = scene;
  const names = clustersOf(name);
  const base = envoyBootstrap({
    extProcPort,
    upstreamPort,
    http1Trailers: true,
    filter: {
      message_timeout: `${SCENE_MESSAGE_TIMEOUT_MS / 1_000}s`,
      ...(scene.httpServicePath === undefined
        ? { grpc_service: { envoy_grpc: { cluster_name: names.extProc }, ...(grpcService as JsonObject | undefined) } }
        : { grpc_service: null, http_service: httpService(names.extProc, scene.httpServicePath) }),
      ...filter,
    },
  }) as Bootstrap;
  const [listener] = base.static_resources.listeners;
  const [chain] = listener.filter_chains;
  const [network] = chain.filters;
  const manager = { ...network, typed_config: managerOf(network.typed_config, scene, accessLogPath) };
  const [extProc, upstream] = base.static_resources.clusters;
  const { bufferLimitBytes } = scene;
  const limit = bufferLimitBytes === undefined ? {} : { per_connection_buffer_limit_bytes: bufferLimitBytes };
  return {
    listener: { ...listener, ...limit, name, filter_chains: [{ ...chain, filters: [manager] }] },
    clusters: [renamed(extProc, names.extProc), { ...renamed(upstream, names.upstream), ...limit }],
  };
}

function httpService(cluster: string, path: string): JsonObject {
  const timeout = `${SCENE_MESSAGE_TIMEOUT_MS / 1_000}s`;
  return { http_service: { http_uri: { uri: `http://ext-proc.test${path}`, cluster, timeout } } };
}

function managerOf(base: Manager, scene: PlacedScene, accessLogPath: string): JsonObject {
  const { name, manager = {}, filtersBefore = [], virtualHosts = onlyHost, logged = {}, bufferLimitBytes } = scene;
  return {
    ...base,
    // What Envoy buffers of an HTTP/2 stream is bounded by the stream's window.
    ...(bufferLimitBytes !== undefined && {
      http2_protocol_options: {
        initial_stream_window_size: bufferLimitBytes,
        initial_connection_window_size: bufferLimitBytes,
      },
    }),
    stat_prefix: name,
    stream_idle_timeout: "5s",
    http_filters: [...filtersBefore, ...base.http_filters],
    route_config: { virtual_hosts: virtualHosts(clustersOf(name)) },
    access_log: [
      {
        name: "envoy.access_loggers.file",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
          path: accessLogPath,
          log_format: {
            json_format: {
              scene: name,
              code: "%RESPONSE_CODE%",
              details: DETAILS,
              flags: "%RESPONSE_FLAGS%",
              ...logged,
            },
          },
        },
      },
    ],
    ...manager,
  };
}

const DETAILS = "%RESPONSE_CODE_DETAILS%";

function onlyHost({ upstream }: SceneClusters): JsonObject[] {
  return [{ name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, route: { cluster: upstream } }] }];
}

function renamed(cluster: Cluster, name: string): JsonObject {
  return { ...cluster, name, type: "STATIC", load_assignment: { ...cluster.load_assignment, cluster_name: name } };
}
