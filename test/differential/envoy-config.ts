import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import type { VirtualRoute } from "../../src/simulator/http/http-exchange.ts";
import type { SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { filterConfig, perRouteConfig, seconds } from "./filter-config.ts";

const LOOPBACK = "127.0.0.1";
/** The header that tells the upstream which route was taken. The router adds it, behind all filters. */
export const ROUTE_HEADER = "x-differential-route";

/** One exchange's part of the configuration: its own listener and cluster. */
export interface EnvoyLane {
  /** Name of listener, cluster, statistics and calls. */
  readonly id: string;
  readonly settings: SimulatedEnvoySettings;
  readonly protocol: "http1" | "http2";
  readonly routes: readonly VirtualRoute[];
  /** The request asks for a tunnel. */
  readonly hasTunnel: boolean;
  readonly dynamicMetadata: Readonly<Record<string, unknown>>;
  /** Namespaces that the access log tells. */
  readonly namespaces: readonly string[];
  readonly upstreamPort: number;
  /** The ext_proc service's; undefined if nothing listens. */
  readonly serverPort: number;
}

/** A bootstrap with all of them; the access log goes to `accessLogFile`. */
export function differentialBootstrap(
  lanes: readonly EnvoyLane[],
  options: { readonly accessLogFile: string; readonly timeScale: number },
): JsonObject {
  const servers = [...new Set(lanes.map(({ serverPort }) => serverPort))];
  return {
    admin: { address: address(0) },
    static_resources: {
      listeners: lanes.map((lane) => listener(lane, options)),
      clusters: [
        ...servers.map((port) => cluster({ name: `server-${port}`, port, http2: true, bufferLimitBytes: 1 << 20 })),
        ...lanes.map(({ id, upstreamPort, protocol, settings }) =>
          cluster({
            name: id,
            port: upstreamPort,
            http2: protocol === "http2",
            bufferLimitBytes: settings.bufferLimitBytes ?? 1 << 20,
          }),
        ),
      ],
    },
  };
}

function listener(
  lane: EnvoyLane,
  options: { readonly accessLogFile: string; readonly timeScale: number },
): JsonObject {
  const manager = {
    name: "envoy.filters.network.http_connection_manager",
    typed_config: connectionManager(lane, options),
  };
  return {
    name: lane.id,
    address: address(0),
    per_connection_buffer_limit_bytes: lane.settings.bufferLimitBytes ?? 1 << 20,
    filter_chains: [{ filters: [manager] }],
  };
}

function connectionManager(
  lane: EnvoyLane,
  { accessLogFile, timeScale }: { readonly accessLogFile: string; readonly timeScale: number },
): JsonObject {
  const { id, settings, protocol } = lane;
  const target = { cluster: `server-${lane.serverPort}`, authority: id };
  return {
    "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
    stat_prefix: id,
    codec_type: protocol === "http2" ? "HTTP2" : "HTTP1",
    http_protocol_options: { enable_trailers: true },
    generate_request_id: false,
    ...(lane.hasTunnel && {
      upgrade_configs: [{ upgrade_type: "websocket" }, { upgrade_type: "CONNECT" }],
      http2_protocol_options: { allow_connect: true },
    }),
    server_header_transformation: "PASS_THROUGH",
    stream_idle_timeout: seconds(patience(settings.streamIdleTimeoutMs, timeScale) ?? 6000),
    access_log: [accessLog(lane, accessLogFile)],
    http_filters: [
      ...setMetadata(lane.dynamicMetadata),
      { name: "envoy.filters.http.ext_proc", typed_config: filterConfig(settings, target, timeScale) },
      {
        name: "envoy.filters.http.router",
        typed_config: {
          "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router",
          suppress_envoy_headers: true,
        },
      },
    ],
    route_config: {
      virtual_hosts: [
        { name: "all", domains: ["*"], routes: [...connectRoutes(lane), ...plainRoutes(lane, timeScale)] },
      ],
    },
  };
}

function plainRoutes(lane: EnvoyLane, timeScale: number): JsonObject[] {
  return lane.routes.map((route) => routeConfig(lane, route, timeScale));
}

/** CONNECT has no path that a prefix could match. */
function connectRoutes({ id, hasTunnel, routes: [first] }: EnvoyLane): JsonObject[] {
  if (!hasTunnel || first === undefined) return [];
  return [
    {
      name: first.name,
      match: { connect_matcher: {} },
      route: { cluster: id, upgrade_configs: [{ upgrade_type: "CONNECT" }] },
      request_headers_to_add: [
        { header: { key: ROUTE_HEADER, value: first.name }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" },
      ],
    },
  ];
}

function routeConfig({ id, settings }: EnvoyLane, route: VirtualRoute, timeScale: number): JsonObject {
  const asked = { ...(route.authority !== undefined && { ":authority": route.authority }), ...route.headers };
  const headers = Object.entries(asked).map(([name, exact]) => ({ name, string_match: { exact } }));
  const added = { header: { key: ROUTE_HEADER, value: route.name }, append_action: "OVERWRITE_IF_EXISTS_OR_ADD" };
  return {
    name: route.name,
    match: { prefix: route.pathPrefix ?? "/", headers },
    route: { cluster: id, timeout: seconds(patience(settings.routeTimeoutMs, timeScale) ?? 4000) },
    request_headers_to_add: [added],
    ...(settings.perRoute && {
      typed_per_filter_config: { "envoy.filters.http.ext_proc": perRouteConfig(settings.perRoute) },
    }),
  };
}

/** Undefined if the settings leave it to Envoy, whose own times are too long to wait for. */
function patience(ms: number | undefined, timeScale: number): number | undefined {
  return ms === undefined ? undefined : ms * timeScale;
}

function setMetadata(values: Readonly<Record<string, unknown>>): JsonObject[] {
  const metadata = Object.entries(values).map(([namespace, value]) => ({ metadata_namespace: namespace, value }));
  if (metadata.length === 0) return [];
  const type = "type.googleapis.com/envoy.extensions.filters.http.set_metadata.v3.Config";
  return [{ name: "envoy.filters.http.set_metadata", typed_config: { "@type": type, metadata } as never }];
}

function accessLog({ id, namespaces }: EnvoyLane, path: string): JsonObject {
  const metadata = Object.fromEntries(namespaces.map((name) => [name, `%DYNAMIC_METADATA(${name})%`]));
  return {
    name: "envoy.access_loggers.file",
    typed_config: {
      "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
      path,
      log_format: { json_format: { id, details: "%RESPONSE_CODE_DETAILS%", metadata } },
    },
  };
}

interface ClusterOptions {
  readonly name: string;
  readonly port: number;
  readonly http2: boolean;
  readonly bufferLimitBytes: number;
}

function cluster({ name, port, http2, bufferLimitBytes }: ClusterOptions): JsonObject {
  const type = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
  const explicit = http2
    ? { http2_protocol_options: { allow_connect: true } }
    : { http_protocol_options: { enable_trailers: true } };
  return {
    name,
    type: "STATIC",
    connect_timeout: "5s",
    per_connection_buffer_limit_bytes: bufferLimitBytes,
    circuit_breakers: { thresholds: [{ max_requests: 100_000, max_pending_requests: 100_000 }] },
    typed_extension_protocol_options: {
      [type]: { "@type": `type.googleapis.com/${type}`, explicit_http_config: explicit },
    },
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address: address(port) } }] }] },
  };
}

function address(port: number): JsonObject {
  return { socket_address: { address: LOOPBACK, port_value: port } };
}
