import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, setHeader } from "../../src/index.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { eventually } from "./rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { clustersOf, type SceneConfig } from "./rows/scene-bootstrap.ts";
import type { Respond } from "./rows/scene-upstream.ts";
import { type ServedScene, served } from "./rows/served.ts";

/** Has a handler for the headers of both directions, under the strictest policy. */
const marker = () =>
  defineProcessor({
    name: "marker",
    onFault: "closed",
    timeoutMs: 3_000,
    async requestHeaders() {
      await delay(20);
      return setHeader("x-marked", "request");
    },
    responseHeaders: () => setHeader("x-marked", "response"),
  });

const TYPES = "type.googleapis.com/envoy.extensions.filters.http";

/** An HTTP authorization service, whose answer becomes the client's response with all of its headers. */
function extAuthz(name: string): JsonObject {
  const cluster = clustersOf(name).upstream;
  return {
    name: "envoy.filters.http.ext_authz",
    typed_config: {
      "@type": `${TYPES}.ext_authz.v3.ExtAuthz`,
      http_service: { server_uri: { uri: "http://auth.test", cluster, timeout: "5s" }, path_prefix: "/auth" },
    },
  };
}

/** A script that answers by itself. */
function lua(status: number): JsonObject {
  const code = `function envoy_on_request(handle)
    handle:respond({[":status"] = "${status}", ["date"] = "Mon, 23 Nov 2026 15:58:16 GMT", ["server"] = "script"}, "by script")
  end`;
  return {
    name: "envoy.filters.http.lua",
    typed_config: { "@type": `${TYPES}.lua.v3.Lua`, default_source_code: { inline_string: code } },
  };
}

/** The authorization service answers with a status; Node adds `date`. */
const denies =
  (status: number): Respond =>
  (response, { path }) => {
    if (path.startsWith("/auth"))
      response.writeHead(status, { "x-envoy-upstream-service-time": "1", location: "/login", server: "auth" });
    response.end("denied");
  };

const redirecting: SceneConfig = {
  virtualHosts: ({ upstream }) => [
    {
      name: "all",
      domains: ["*"],
      routes: [
        {
          match: { prefix: "/" },
          route: { cluster: upstream, internal_redirect_policy: { max_internal_redirects: 2 } },
        },
      ],
    },
  ],
};

const authorized = (name: string, status: number) => ({
  server: served(marker()),
  filtersBefore: [extAuthz(name)],
  respond: denies(status),
});

const inits = {
  auth302: authorized("auth302", 302),
  auth401: authorized("auth401", 401),
  auth403: authorized("auth403", 403),
  lua429: { server: served(marker()), filtersBefore: [lua(429)] },
  redirected: {
    server: served(marker()),
    ...redirecting,
    respond: (response, { path, headers }) => {
      if (path === "/old") response.writeHead(302, { location: `http://${headers.host}/new` });
      response.end("here");
    },
  },
} as const satisfies Record<string, SceneInit<ServedScene>>;

let running: RunningScenes;

describe.skipIf(envoyBinary === undefined)("replies that do not come from the upstream", () => {
  beforeAll(async () => {
    running = await startScenes(new Map(Object.entries(inits as Record<string, SceneInit>)));
  }, 30_000);
  afterAll(() => running?.stop());

  const scene = (name: keyof typeof inits) => running.scenes.get(name) as Scene<ServedScene>;
  const warnings = (name: keyof typeof inits) =>
    scene(name)
      .server.logLines()
      .filter(({ level }) => level !== "info");

  test.each([
    ["auth302", 302],
    ["auth401", 401],
    ["auth403", 403],
    ["lua429", 429],
  ] as const)("a reply of a filter in front keeps its status: %s", async (name, status) => {
    expect((await scene(name).send()).status).toBe(status);
    expect(warnings(name)).toEqual([]);
  });

  test("an internal redirect passes no handler over", async () => {
    const { status, body } = await scene("redirected").send({ path: "/old" });
    await eventually(() => expect(scene("redirected").upstream.map(({ path }) => path)).toEqual(["/old", "/new"]));
    expect([status, body]).toEqual([200, "here"]);
    expect(warnings("redirected")).toEqual([]);
  });
});
