import { describe, expect, test } from "vitest";
import { envoyBootstrap, type JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";

const PORTS = { extProcPort: 1111, upstreamPort: 2222 };

/** The value at a path like `static_resources.listeners.0.name`. */
function at(bootstrap: JsonObject, path: string): unknown {
  return path.split(".").reduce<unknown>((value, step) => (value as Record<string, unknown>)[step], bootstrap);
}

const CONNECTION_MANAGER = "static_resources.listeners.0.filter_chains.0.filters.0.typed_config";
const FILTER = `${CONNECTION_MANAGER}.http_filters.0.typed_config`;
const ENDPOINT_PORT = "load_assignment.endpoints.0.lb_endpoints.0.endpoint.address.socket_address.port_value";

describe("envoyBootstrap", () => {
  test("envoyBootstrap gives every part its port", () => {
    const bootstrap = envoyBootstrap({ ...PORTS, listenerPort: 3333, adminPort: 4444 });
    expect(at(bootstrap, "static_resources.clusters.0.name")).toBe("ext-proc");
    expect(at(bootstrap, `static_resources.clusters.0.${ENDPOINT_PORT}`)).toBe(1111);
    expect(at(bootstrap, "static_resources.clusters.1.name")).toBe("upstream");
    expect(at(bootstrap, `static_resources.clusters.1.${ENDPOINT_PORT}`)).toBe(2222);
    expect(at(bootstrap, "static_resources.listeners.0.address.socket_address.port_value")).toBe(3333);
    expect(at(bootstrap, "admin.address.socket_address.port_value")).toBe(4444);
  });

  test("envoyBootstrap takes free ports for the listener and the admin interface by default", () => {
    const bootstrap = envoyBootstrap(PORTS);
    expect(at(bootstrap, "static_resources.listeners.0.address.socket_address.port_value")).toBe(0);
    expect(at(bootstrap, "admin.address.socket_address.port_value")).toBe(0);
  });

  test("envoyBootstrap keeps the filter of deploy/envoy.yaml: both headers, fail closed, an authority without a cluster's name", () => {
    const bootstrap = envoyBootstrap(PORTS);
    expect(at(bootstrap, FILTER)).toEqual({
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
      grpc_service: { envoy_grpc: { cluster_name: "ext-proc", authority: "ext-proc" } },
      processing_mode: { request_header_mode: "SEND", response_header_mode: "SEND" },
      failure_mode_allow: false,
      message_timeout: "0.2s",
    });
  });

  test("envoyBootstrap merges messages of the filter field by field, replaces lists, and removes fields that are null", () => {
    const filter = {
      processing_mode: { request_body_mode: "BUFFERED" },
      message_timeout: null,
      request_attributes: ["request.path"],
      mutation_rules: { allow_envoy: true },
    };
    expect(at(envoyBootstrap({ ...PORTS, filter }), FILTER)).toEqual({
      "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
      grpc_service: { envoy_grpc: { cluster_name: "ext-proc", authority: "ext-proc" } },
      processing_mode: {
        request_header_mode: "SEND",
        response_header_mode: "SEND",
        request_body_mode: "BUFFERED",
      },
      failure_mode_allow: false,
      request_attributes: ["request.path"],
      mutation_rules: { allow_envoy: true },
    });
  });

  test("envoyBootstrap does not change an earlier bootstrap", () => {
    const first = envoyBootstrap(PORTS);
    envoyBootstrap({ ...PORTS, extProcPort: 9, filter: { failure_mode_allow: true } });
    expect(first).toEqual(envoyBootstrap(PORTS));
  });

  test("envoyBootstrap enables HTTP/1.1 trailers on both sides only on demand", () => {
    expect(at(envoyBootstrap(PORTS), CONNECTION_MANAGER)).not.toHaveProperty("http_protocol_options");
    const bootstrap = envoyBootstrap({ ...PORTS, http1Trailers: true });
    expect(at(bootstrap, `${CONNECTION_MANAGER}.http_protocol_options`)).toEqual({ enable_trailers: true });
    expect(JSON.stringify(at(bootstrap, "static_resources.clusters.1"))).toContain('"enable_trailers":true');
  });
});
