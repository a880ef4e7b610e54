import { readFileSync } from "node:fs";
import { parse } from "yaml";

/** A value in Envoy's configuration, which is a proto message in JSON. */
type Json = string | number | boolean | null | readonly Json[] | JsonObject;

/** A message in Envoy's configuration, with the proto names of its fields. */
export interface JsonObject {
  readonly [name: string]: Json;
}

/** The changes to make in `deploy/envoy.yaml`. */
export interface EnvoyBootstrapOptions {
  /** Port of the ext_proc service on 127.0.0.1. */
  readonly extProcPort: number;
  /** Port of the upstream on 127.0.0.1. */
  readonly upstreamPort: number;
  /** The port of Envoy's listener on 127.0.0.1. Default 0: any free port. */
  readonly listenerPort?: number | undefined;
  /** The port of Envoy's admin interface on 127.0.0.1. Default 0: any free port. */
  readonly adminPort?: number | undefined;
  /**
   * Merged into the ext_proc filter's configuration (`envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor`).
   * Messages are merged field by field, other values are replaced, and `null` removes a field. Example:
   * `{ processing_mode: { request_body_mode: "BUFFERED" } }`.
   */
  readonly filter?: JsonObject | undefined;
  /** True: HTTP/1.1 trailers pass, in both directions and on both sides. False, the default: Envoy drops them. */
  readonly http1Trailers?: boolean | undefined;
}

type Path = readonly (string | number)[];

// Places in deploy/envoy.yaml.
const LISTENER: Path = ["static_resources", "listeners", 0];
const CONNECTION_MANAGER: Path = [...LISTENER, "filter_chains", 0, "filters", 0, "typed_config"];
const EXT_PROC_FILTER: Path = [...CONNECTION_MANAGER, "http_filters", 0, "typed_config"];
const EXT_PROC_CLUSTER: Path = ["static_resources", "clusters", 0];
const UPSTREAM_CLUSTER: Path = ["static_resources", "clusters", 1];
const ADDRESS_PORT: Path = ["address", "socket_address", "port_value"];
const ENDPOINT_PORT: Path = ["load_assignment", "endpoints", 0, "lb_endpoints", 0, "endpoint", ...ADDRESS_PORT];

/**
 * The bootstrap of `deploy/envoy.yaml`, with other ports and optionally another filter configuration. The demo and the
 * tests run it, so the file that users copy is known to work.
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
  // Three folders up, both from src/cli/demo and from dist/cli/demo.
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

/** JSON Merge Patch (RFC 7396): merges messages field by field; `null` removes a field, any other value replaces it. */
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
