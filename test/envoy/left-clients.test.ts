import { connect } from "node:http2";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor } from "../../src/index.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { eventually } from "./rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { countedBy, type ServedScene, served } from "./rows/served.ts";

/** Waits for every phase of headers and for the whole request body, under the strictest policy. */
function watcher(withBody: boolean) {
  return defineProcessor({
    name: "watcher",
    onFault: "closed",
    timeoutMs: 3_000,
    async requestHeaders() {
      await delay(1);
    },
    ...(withBody && { requestBody: { read: "inspect" } }),
    responseHeaders: () => undefined,
  });
}

const modes = (processing_mode: JsonObject): Pick<SceneInit, "filter"> => ({ filter: { processing_mode } });
const slowly: SceneInit["respond"] = (response) => void setTimeout(() => response.end("late"), 3);

const inits = {
  none: { server: served(watcher(false)), respond: slowly },
  buffered: { server: served(watcher(true)), respond: slowly, ...modes({ request_body_mode: "BUFFERED" }) },
  partial: { server: served(watcher(true)), respond: slowly, ...modes({ request_body_mode: "BUFFERED_PARTIAL" }) },
  streamed: { server: served(watcher(true)), respond: slowly, ...modes({ request_body_mode: "STREAMED" }) },
  duplex: {
    server: served(watcher(true)),
    respond: slowly,
    ...modes({ request_body_mode: "FULL_DUPLEX_STREAMED", request_trailer_mode: "SEND" }),
  },
} as const satisfies Record<string, SceneInit<ServedScene>>;

const refusing = { server: served(watcher(false)), upstreamPort: 1 } as const;
const REPLIES = {
  "a route that answers itself": {
    server: served(watcher(false)),
    virtualHosts: () => [
      { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, direct_response: { status: 204 } }] },
    ],
  },
  "a redirect": {
    server: served(watcher(false)),
    virtualHosts: () => [
      { name: "all", domains: ["*"], routes: [{ match: { prefix: "/" }, redirect: { path_redirect: "/other" } }] },
    ],
  },
  "a path without a route": {
    server: served(watcher(false)),
    virtualHosts: () => [{ name: "all", domains: ["*"], routes: [] }],
  },
  "an upstream that refuses connections": refusing,
  "an upstream that closes the connection": {
    server: served(watcher(false)),
    respond: (response) => void response.destroy(),
  },
  "a timeout of the route": {
    server: served(watcher(false)),
    respond: () => undefined,
    virtualHosts: ({ upstream }) => [
      {
        name: "all",
        domains: ["*"],
        routes: [{ match: { prefix: "/" }, route: { cluster: upstream, timeout: "0.05s" } }],
      },
    ],
  },
} as const satisfies Record<string, SceneInit<ServedScene>>;

const ROUNDS = 40;
const BODIES = ["", "x".repeat(1_000), "x".repeat(60_000), "x".repeat(300_000)];

/** Reproducible times and sizes: a linear congruential generator. */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state % below;
  };
}

let running: RunningScenes;

describe.skipIf(envoyBinary === undefined)("streams that end early", () => {
  beforeAll(async () => {
    running = await startScenes(new Map(Object.entries({ ...inits, ...REPLIES } as Record<string, SceneInit>)));
  }, 30_000);
  afterAll(() => running?.stop());

  test.each(Object.keys(inits) as (keyof typeof inits)[])(
    "no handler is passed over if clients leave at any moment, over HTTP/1 and HTTP/2: %s",
    async (name) => {
      const scene = running.scenes.get(name) as Scene<ServedScene>;
      const next = numbers(14);
      for (let round = 0; round < ROUNDS; round++) {
        const session = connect(`http://127.0.0.1:${scene.port}`);
        session.on("error", () => undefined);
        const clients = Array.from({ length: 10 }, async (_, index) => {
          const body = BODIES[next(BODIES.length)] ?? "";
          const leaveMs = next(12);
          if (index % 2 === 0) {
            const stream = session.request({ ":method": "POST", ":path": "/" });
            stream.on("error", () => undefined).resume();
            stream.write(body);
            if (next(2) === 0) stream.end();
            await delay(leaveMs);
            stream.close([0, 2, 8][next(3)] ?? 8);
          } else {
            const request = scene.open({ method: "POST" });
            request.write(body);
            if (next(2) === 0) request.end();
            await delay(leaveMs);
            request.abort();
          }
        });
        await Promise.all(clients);
        session.destroy();
      }
      await eventually(async () => expect(await scene.server.metric("ext_proc_streams_active")).toBe(0));
      const counted = await countedBy(scene);
      expect(counted.filter((line) => /phase_not_sent|not_awaited|too_late|body_/.test(line))).toEqual([]);
    },
    60_000,
  );

  test.each(Object.keys(REPLIES))("no handler is passed over if Envoy itself answers for %s", async (name) => {
    const scene = running.scenes.get(name) as Scene<ServedScene>;
    for (const [index] of Array.from({ length: 5 }).entries()) {
      await scene.send();
      await eventually(async () => expect((await countedBy(scene)).at(0)).toBe(`completed: ${index + 1}`));
    }
    expect(await countedBy(scene)).toEqual(["completed: 5"]);
  });
});
