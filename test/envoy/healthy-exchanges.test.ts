import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { eventually } from "./rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import type { SceneClusters } from "./rows/scene-bootstrap.ts";
import type { ClientInit } from "./rows/scene-client.ts";
import { type ServedScene, served } from "./rows/served.ts";

/** Has a handler for everything, under the strictest policy, and must see every body. */
const strict = () =>
  defineProcessor({
    name: "strict",
    onFault: "closed",
    timeoutMs: 3_000,
    async requestHeaders() {
      await delay(5);
      return setHeader("x-marked", "request");
    },
    requestBody: { read: "whole", required: true, handle: () => undefined },
    responseHeaders: () => setHeader("x-marked", "response"),
    responseBody: { read: "whole", required: true, handle: () => undefined },
  });

const MODES = ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;
type Mode = (typeof MODES)[number];

/** Refuses the first try of `/retried`, and never answers `/slow`. */
function respond() {
  let tries = 0;
  const respondOnce: NonNullable<SceneInit["respond"]> = (response, { path }) => {
    if (path === "/slow") return;
    if (path === "/retried" && tries++ === 0) response.statusCode = 503;
    if (path === "/empty") response.statusCode = 204;
    if (path === "/not-modified") response.statusCode = 304;
    if (path === "/missing") response.statusCode = 404;
    response.end(response.statusCode === 204 || response.statusCode === 304 ? undefined : "from upstream");
  };
  return respondOnce;
}

const routes = ({ upstream }: SceneClusters): JsonObject[] => [
  { match: { path: "/direct" }, direct_response: { status: 200, body: { inline_string: "direct" } } },
  { match: { path: "/redirect" }, redirect: { path_redirect: "/elsewhere" } },
  { match: { path: "/slow" }, route: { cluster: upstream, timeout: "0.3s" } },
  { match: { path: "/nowhere" }, route: { cluster_header: "x-cluster" } },
  {
    match: { prefix: "/" },
    route: {
      cluster: upstream,
      retry_policy: { retry_on: "5xx", num_retries: 2, retry_back_off: { base_interval: "0.01s" } },
    },
  },
];

const scenes = MODES.map((mode) => {
  const trailers = mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP";
  const init: SceneInit<ServedScene> = {
    server: served(strict()),
    respond: respond(),
    virtualHosts: (clusters) => [{ name: "all", domains: ["*"], routes: routes(clusters) }],
    manager: { http_protocol_options: { enable_trailers: true } },
    filter: {
      processing_mode: {
        request_header_mode: "SEND",
        response_header_mode: "SEND",
        request_body_mode: mode,
        response_body_mode: mode,
        request_trailer_mode: trailers,
        response_trailer_mode: trailers,
      },
    },
  };
  return [mode.toLowerCase().replaceAll("_", "-"), init] as const;
});

const EXCHANGES: readonly (readonly [string, ClientInit, number])[] = [
  ["a GET", {}, 200],
  ["a HEAD", { method: "HEAD" }, 200],
  ["a POST", { method: "POST", body: "abc" }, 200],
  ["a POST without a body", { method: "POST", body: "" }, 200],
  ["a POST that waits for 100", { method: "POST", body: "abc", headers: { expect: "100-continue" } }, 200],
  ["an upstream's 204", { path: "/empty" }, 204],
  ["an upstream's 304", { path: "/not-modified" }, 304],
  ["an upstream's 404", { path: "/missing", method: "POST", body: "abc" }, 404],
  ["a second try", { path: "/retried", method: "POST", body: "abc" }, 200],
  ["a timeout of the route", { path: "/slow", method: "POST", body: "abc" }, 504],
  ["a cluster that Envoy does not know", { path: "/nowhere", headers: { "x-cluster": "unknown" } }, 503],
  ["a direct response", { path: "/direct", method: "POST", body: "abc" }, 200],
  ["a redirect of the route", { path: "/redirect", method: "POST", body: "abc" }, 301],
];

let running: RunningScenes;

describe.skipIf(envoyBinary === undefined)("exchanges in which Envoy passes no handler over", () => {
  beforeAll(async () => {
    running = await startScenes(new Map(scenes as (readonly [string, SceneInit])[]));
  }, 30_000);
  afterAll(() => running?.stop());

  describe.each(MODES)("%s", (mode: Mode) => {
    const scene = () => running.scenes.get(mode.toLowerCase().replaceAll("_", "-")) as Scene<ServedScene>;
    const warnings = () =>
      scene()
        .server.logLines()
        .filter(({ level }) => level !== "info");

    test.each(EXCHANGES)("%s raises no fault", async (_what, init, status) => {
      expect((await scene().send(init)).status).toBe(status);
      expect(warnings()).toEqual([]);
    });

    test("a client that leaves in the middle of its body raises no fault", async () => {
      const request = scene().open({ method: "POST", headers: { "content-length": "10" } });
      request.write("abc");
      await delay(100);
      request.abort();
      await eventually(async () => expect(await scene().active()).toBe(0));
      await delay(100);
      expect(warnings().filter(({ fault, reason }) => fault !== undefined || reason !== undefined)).toEqual([]);
    });
  });
});
