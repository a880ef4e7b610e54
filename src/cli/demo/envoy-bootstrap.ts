import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** A value as it stands in Envoy's configuration, which is a proto message in JSON. */
type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** A message in Envoy's configuration, by its fields' proto names. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** What is changed in `deploy/envoy.yaml`. */
export interface EnvoyBootstrapOptions {
  /** Port of the ext_proc service on 127.0.0.1. */
  readonly extProcPort: number;
  /** Port of the upstream on 127.0.0.1. */
  readonly upstreamPort: number;
  /** Port Envoy listens on, on 127.0.0.1. Default 0: any free one. */
  readonly listenerPort?: number | undefined;
  /** Port of Envoy's admin interface, on 127.0.0.1. Default 0: any free one. */
  readonly adminPort?: number | undefined;
  /**
   * Merged into the ext_proc filter's configuration
   * (`envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor`): messages field by field, anything else
   * replaced, `null` removes a field. Example: `{ processing_mode: { request_body_mode: "BUFFERED" } }`.
   */
  readonly filter?: JsonObject | undefined;
  /** Whether HTTP/1.1 trailers pass, in both directions and on both sides; Envoy drops them otherwise. Default false. */
  readonly http1Trailers?: boolean | undefined;
}

type Path = readonly (string | number)[];

// Where things stand in deploy/envoy.yaml.
const LISTENER: Path = ["static_resources", "listeners", 0];
const CONNECTION_MANAGER: Path = [...LISTENER, "filter_chains", 0, "filters", 0, "typed_config"];
const EXT_PROC_FILTER: Path = [...CONNECTION_MANAGER, "http_filters", 0, "typed_config"];
const EXT_PROC_CLUSTER: Path = ["static_resources", "clusters", 0];
const UPSTREAM_CLUSTER: Path = ["static_resources", "clusters", 1];
const ADDRESS_PORT: Path = ["address", "socket_address", "port_value"];
const ENDPOINT_PORT: Path = ["load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", ...ADDRESS_PORT];

/**
 * The bootstrap of `deploy/envoy.yaml`, with other ports and, on demand, another filter configuration. The demo and
 * the tests run it, so that the file people copy is one that is known to work.
 */
export function envoyBootstrap(options: EnvoyBootstrapOptions): JsonObject {
  const patches: [Path, Json][] = [
    [[...LISTENER, ...ADDRESS_PORT], options.listenerPort ?? 0],
    [["admin", ...ADDRESS_PORT], options.adminPort ?? 0],
    [[...EXT_PROC_CLUSTER, ...ENDPOINT_PORT], options.extProcPort],
    [[...UPSTREAM_CLUSTER, ...ENDPOINT_PORT], options.upstreamPort],
    [EXT_PROC_FILTER, options.filter ?? {}],
    ...(options.http1Trailers ? HTTP1_TRAILER_PATCHES : []),
  ];
  // Three folders up from src/cli/demo as from dist/cli/demo.
  const text = readFileSync(new URL("../../../deploy/envoy.yaml", import.meta.url), "utf8");
  const bootstrap: JsonObject = parse(text);
  for (const [path, patch] of patches) patchAt(bootstrap, path, patch);
  return bootstrap;
}

const UPSTREAM_PROTOCOL_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const HTTP1_TRAILER_PATCHES: [Path, Json][] = [
  [CONNECTION_MANAGER, { http_protocol_options: { enable_trailers: true } }],
  [
    UPSTREAM_CLUSTER,
    {
      typed_extension_protocol_options: {
        [UPSTREAM_PROTOCOL_OPTIONS]: {
          "@type": `type.googleapis.com/${UPSTREAM_PROTOCOL_OPTIONS}`,
          explicit_http_config: { http_protocol_options: { enable_trailers: true } },
        },
      },
    },
  ],
];

function patchAt(root: JsonObject, path: Path, patch: Json): void {
  let parent: object = root;
  for (const step of path.slice(0, -1)) parent = Reflect.get(parent, step);
  const [name = ""] = path.slice(-1);
  Reflect.set(parent, name, merged(Reflect.get(parent, name), patch));
}

/** JSON Merge Patch (RFC 7396): messages field by field, `null` removes, anything else replaces. */
function merged(target: Json | undefined, patch: Json): Json {
  if (!isMessage(patch)) return patch;
  const fields: Record<string, Json> = isMessage(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete fields[name];
    else fields[name] = merged(fields[name], value);
  }
  return fields;
}

function isMessage(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
