import { expect } from "vitest";
import type { JsonObject } from "../../../src/cli/demo/envoy-bootstrap.ts";
import { isSince } from "./envoy-release.ts";
import { envoyRows } from "./row.ts";
import type { SceneConfig } from "./scene-bootstrap.ts";
import { clustersOf } from "./scene-bootstrap.ts";
import { FAIL_OPEN, mutate, on, scripted, serverHalfClosed, setting } from "./script-scenes.ts";

const KEY = "envoy.filters.http.ext_proc";
const TYPES = "type.googleapis.com/envoy.extensions.filters.http";

/** A filter that gives every request dynamic metadata. */
function metadataOf(namespace: string, value: JsonObject): JsonObject {
  return {
    name: "envoy.filters.http.set_metadata",
    typed_config: {
      "@type": `${TYPES}.set_metadata.v3.Config`,
      metadata: [{ metadata_namespace: namespace, value, allow_overwrite: true }],
    },
  };
}

/** A route whose ext_proc filter is configured otherwise. */
function route(prefix: string, cluster: string, perRoute: JsonObject): JsonObject {
  const config = { "@type": `${TYPES}.ext_proc.v3.ExtProcPerRoute`, ...perRoute };
  return { match: { prefix }, route: { cluster }, typed_per_filter_config: { [KEY]: config } };
}

envoyRows("attributes, metadata, routes and observers", (row) => {
  row(
    "row 95: attributes come once for each direction, under the filter's own name",
    {
      scenes: {
        only: {
          server: scripted(),
          filter: {
            request_attributes: ["source.address", "request.path", "no.such.attribute"],
            response_attributes: ["response.code"],
            processing_mode: { request_body_mode: "BUFFERED" },
          },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send({ method: "POST", path: "/a?b=c", body: "body" })).status).toBe(200);
      const { received, kinds } = await only.server.call(0);
      expect(kinds).toEqual(["requestHeaders", "requestBody", "responseHeaders"]);
      expect(received.map(({ attributes }) => attributes)).toEqual([
        { [KEY]: { "source.address": expect.stringMatching(/^127\.0\.0\.1:\d+$/), "request.path": "/a?b=c" } },
        {},
        { [KEY]: { "response.code": 200 } },
      ]);
    },
  );

  row(
    "row 96: metadata of the forwarded namespaces that exist comes with every message",
    {
      scenes: {
        only: {
          server: scripted(),
          filtersBefore: [metadataOf("given", { user: "ann", tries: 2 }), metadataOf("kept.back", { a: 1 })],
          filter: { metadata_options: { forwarding_namespaces: { untyped: ["given", "absent"] } } },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send()).status).toBe(200);
      const { received } = await only.server.call(0);
      expect(received).toHaveLength(2);
      for (const { metadataContext } of received) {
        expect(metadataContext?.filterMetadata).toEqual({ given: { user: "ann", tries: 2 } });
      }
    },
  );

  const withMetadata = (kind: string, dynamicMetadata: JsonObject) => ({
    send: { [kind]: {}, dynamicMetadata } as never,
  });
  row(
    "row 97: dynamic_metadata of the allowed namespaces is merged and seen in the access log, others are dropped",
    {
      scenes: {
        only: {
          server: scripted(
            on("requestHeaders", withMetadata("requestHeaders", { allowed: { user: "ann" }, refused: { a: 1 } })),
            on("responseHeaders", withMetadata("responseHeaders", { allowed: { tokens: 3 } })),
          ),
          filter: { metadata_options: { receiving_namespaces: { untyped: ["allowed"] } } },
          logged: {
            allowed: "%DYNAMIC_METADATA(allowed)%",
            refused: "%DYNAMIC_METADATA(refused)%",
            own: `%DYNAMIC_METADATA(${KEY})%`,
          },
        },
      },
    },
    async ({ only }) => {
      expect((await only.send()).status).toBe(200);
      const [line] = await only.logged();
      expect(line).toMatchObject({ allowed: { user: "ann", tokens: 3 }, refused: null, own: null });
    },
  );

  const other = clustersOf("row_104_other");
  const routes: SceneConfig["virtualHosts"] = ({ upstream }) => [
    {
      name: "all",
      domains: ["*"],
      routes: [
        route("/disabled", upstream, { disabled: true }),
        route("/modes", upstream, {
          overrides: { processing_mode: { request_header_mode: "SKIP", request_body_mode: "BUFFERED" } },
        }),
        route("/service", upstream, {
          overrides: { grpc_service: { envoy_grpc: { cluster_name: other.extProc, authority: "other.test" } } },
        }),
        route("/tenant", upstream, { overrides: { grpc_initial_metadata: [{ key: "x-tenant", value: "blue" }] } }),
      ],
    },
  ];
  row(
    "row 104: a route can disable the filter, and give it other modes, another service and more metadata",
    { scenes: { only: { server: scripted(), virtualHosts: routes }, other: { server: scripted() } } },
    async ({ only, other: otherScene }) => {
      const init = { method: "POST", body: "body" };
      expect((await only.send({ ...init, path: "/disabled" })).status).toBe(200);
      expect((await only.counters()).streams_started).toBe(0);

      expect((await only.send({ ...init, path: "/modes" })).status).toBe(200);
      expect((await only.server.call(0)).kinds).toEqual(["requestBody", "responseHeaders"]);
      expect((await only.server.call(0)).metadata).not.toHaveProperty("x-tenant");

      expect((await only.send({ ...init, path: "/service" })).status).toBe(200);
      expect((await otherScene.server.call(0)).metadata).toMatchObject({ ":authority": "other.test" });
      expect(only.server.calls).toHaveLength(1);

      expect((await only.send({ ...init, path: "/tenant" })).status).toBe(200);
      expect((await only.server.call(1)).metadata).toMatchObject({ ":authority": "ext-proc", "x-tenant": "blue" });
      expect(only.upstream.map(({ body }) => body)).toEqual(["body", "body", "body", "body"]);
    },
  );

  const observing = {
    processing_mode: { request_body_mode: "STREAMED" },
    observability_mode: true,
    deferred_close_timeout: "0.05s",
  };
  row(
    "row 105: an observer gets copies and its answers do nothing; one that is down is a failure as elsewhere",
    {
      scenes: {
        watched: {
          server: scripted(
            on("requestHeaders", mutate("requestHeaders", setting(["x-new", "1"]))),
            on("responseHeaders", { send: { immediateResponse: { status: { code: 403 } } } as never }),
          ),
          filter: observing,
        },
        closed: { filter: observing, counters: { streams_failed: 1, ...serverHalfClosed(1) } },
        open: {
          filter: { ...observing, ...FAIL_OPEN },
          counters: { streams_failed: 1, failure_mode_allowed: 1, ...serverHalfClosed(2) },
        },
      },
    },
    async ({ watched, closed, open }) => {
      const init = { method: "POST", body: "body" };
      expect(await watched.send(init)).toMatchObject({ status: 200, body: "from upstream" });
      expect(watched.upstream).toMatchObject([{ body: "body" }]);
      expect(watched.upstream[0]?.headers).not.toHaveProperty("x-new");
      const call = await watched.server.call(0);
      await call.ended;
      expect(call.kinds.filter((kind) => kind !== "requestBody")).toEqual(["requestHeaders", "responseHeaders"]);
      const bodies = call.received.flatMap(({ request }) => (request.case === "requestBody" ? [request.value] : []));
      expect(Buffer.concat(bodies.map(({ body }) => body)).toString()).toBe("body");
      expect(bodies.at(-1)?.endOfStream).toBe(true);
      expect(call.sent).toHaveLength(2);
      // Envoy leaves the stream open for deferred_close_timeout, then closes both ways at once.
      expect(call.halfClosed).toBe(true);
      expect(call.resetCode).toBe(isSince("1.38") ? 2 : 0);

      expect((await closed.send(init)).status).toBe(500);
      expect((await closed.logged())[0]?.details).toMatch(/^ext_proc_error_gRPC_error_14/);
      expect(await open.send(init)).toMatchObject({ status: 200, body: "from upstream" });
      expect([closed.upstream.length, open.upstream.length]).toEqual([0, 1]);
    },
  );
});
