import { connect as connectHttp2, type OutgoingHttpHeaders } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, type Processor, replaceJson, setHeader } from "../../src/index.ts";
import { type BareUpstream, startBareUpstream } from "./bare-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { isSince } from "./rows/envoy-release.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { scripted } from "./rows/script-scenes.ts";
import { type ServedScene, served } from "./rows/served.ts";
import type { ScriptedServer } from "./scripted.ts";

const seen: Record<string, string> = {};

function watching(name: string, upgrades: boolean): Processor {
  const look = (direction: string) => ({
    read: "inspect",
    upgrades,
    chunk: (bytes: Uint8Array) => {
      const key = `${name}.${direction}`;
      seen[key] = (seen[key] ?? "") + Buffer.from(bytes).toString("latin1");
    },
  });
  return both(name, look("request"), look("response"));
}

function both(name: string, requestBody: object, responseBody: object = requestBody): Processor {
  const define = defineProcessor as (definition: object) => Processor;
  return define({ name, onFault: "closed", requestHeaders: () => setHeader("x-seen", "1"), requestBody, responseBody });
}

const upperCase = (bytes: Uint8Array) => Buffer.from(Buffer.from(bytes).toString("latin1").toUpperCase(), "latin1");

/** A handler of each kind, which would change, refuse or hold every body. */
const PROCESSORS: Readonly<Record<string, Processor>> = {
  json: both("json", { read: "json", required: true, handle: () => replaceJson({ made: true }) }),
  whole: both("whole", { read: "whole", required: true, handle: () => undefined }),
  chunks: both("chunks", { read: "chunks", required: true, chunk: upperCase }),
  stream: both("stream", {
    read: "stream",
    required: true,
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks) yield upperCase(chunk);
    },
  }),
  inspect: watching("inspect", false),
  upgrades: watching("upgrades", true),
};

const OVERRIDES: JsonObject = { allow_mode_override: true };

function modesOf(mode: string): JsonObject {
  const trailers = mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP";
  return {
    processing_mode: {
      request_body_mode: mode,
      response_body_mode: mode,
      request_trailer_mode: trailers,
      response_trailer_mode: trailers,
    },
  };
}

const SETTINGS: Readonly<Record<string, JsonObject>> = {
  NONE: modesOf("NONE"),
  "NONE-overrides": { ...modesOf("NONE"), ...OVERRIDES },
  STREAMED: modesOf("STREAMED"),
  "STREAMED-overrides": { ...modesOf("STREAMED"), ...OVERRIDES },
  "BUFFERED-overrides": { ...modesOf("BUFFERED"), ...OVERRIDES },
  "BUFFERED_PARTIAL-overrides": { ...modesOf("BUFFERED_PARTIAL"), ...OVERRIDES },
  FULL_DUPLEX_STREAMED: modesOf("FULL_DUPLEX_STREAMED"),
};

const UPGRADE =
  "host: x\r\nconnection: Keep-Alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
const CUSTOM = "host: x\r\nconnection: upgrade\r\nupgrade: custom\r\n";

/** Ways to ask for a tunnel, and what comes through it; the upstream of an upgrade speaks first. */
const TUNNELS: Readonly<Record<string, (port: number) => Promise<Tunnel>>> = {
  "a WebSocket over HTTP/1": (port) => overHttp1(port, `GET /ws HTTP/1.1\r\n${UPGRADE}\r\n`),
  "another upgrade over HTTP/1": (port) => overHttp1(port, `GET /ws HTTP/1.1\r\n${CUSTOM}\r\n`),
  "CONNECT over HTTP/1": (port) => overHttp1(port, "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"),
  "a WebSocket over HTTP/2": (port) =>
    overHttp2(port, {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":authority": "x",
      ":path": "/ws",
      "sec-websocket-version": "13",
    }),
  "CONNECT over HTTP/2": (port) => overHttp2(port, { ":method": "CONNECT", ":authority": "a:80" }),
};

interface Tunnel {
  readonly status: number | undefined;
  /** What came through it, until the echo of `ping` was there, or for a while. */
  readonly received: string;
}

const ECHO = "echo:ping";
const PATIENCE_MS = 3000;

function overHttp1(port: number, head: string, sent = "ping"): Promise<Tunnel> {
  return new Promise((resolve) => {
    const socket = connect(port, "127.0.0.1");
    let got = "";
    const settle = () => {
      clearTimeout(timer);
      socket.destroy();
      const end = got.indexOf("\r\n\r\n");
      const status = /^HTTP\/1\.1 (\d{3})/.exec(got)?.[1];
      resolve({
        status: status === undefined ? undefined : Number(status),
        received: end < 0 ? "" : got.slice(end + 4),
      });
    };
    const timer = setTimeout(settle, PATIENCE_MS);
    socket.on("error", settle).on("end", settle);
    socket.setEncoding("latin1").on("data", (text: string) => {
      const began = got.includes("\r\n\r\n");
      got += text;
      if (!began && got.includes("\r\n\r\n")) socket.write(sent);
      if (got.endsWith(ECHO)) settle();
    });
    socket.write(head, "latin1");
  });
}

async function overHttp2(port: number, headers: OutgoingHttpHeaders): Promise<Tunnel> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  session.on("error", () => undefined);
  await new Promise<void>((resolve) => session.once("remoteSettings", () => resolve()));
  const tunnel = await new Promise<Tunnel>((resolve) => {
    let status: number | undefined;
    let received = "";
    const stream = session.request(headers, { endStream: false });
    const settle = () => {
      clearTimeout(timer);
      resolve({ status, received });
    };
    const timer = setTimeout(settle, PATIENCE_MS);
    stream.on("error", settle).on("end", settle);
    stream.on("response", (given) => {
      status = given[":status"];
      stream.write("ping");
    });
    stream.setEncoding("latin1").on("data", (text: string) => {
      received += text;
      if (received.endsWith(ECHO)) settle();
    });
  });
  session.destroy();
  return tunnel;
}

/** Accepts CONNECT and upgrades, and echoes; `/refuse` has an ordinary response. */
function startTunnelUpstream(requests: string[]): Promise<BareUpstream> {
  const tunnels = new WeakSet<object>();
  return startBareUpstream((waiting, socket) => {
    if (tunnels.has(socket)) {
      socket.write(`echo:${waiting}`);
      return "";
    }
    const end = waiting.indexOf("\r\n\r\n");
    if (end < 0) return waiting;
    requests.push(waiting.slice(0, end));
    if (waiting.includes(" /refuse ")) {
      socket.write('HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 8\r\n\r\n{"a": 1}');
      return "";
    }
    tunnels.add(socket);
    socket.write(
      waiting.startsWith("CONNECT ")
        ? "HTTP/1.1 200 OK\r\n\r\n"
        : "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi",
    );
    const rest = waiting.slice(end + 4);
    if (rest.length > 0) socket.write(`echo:${rest}`);
    return "";
  });
}

/** Envoy 1.39 holds the headers of a streamed message until its first piece has an answer: no tunnel opens. */
const HOLDS_HEADERS = isSince("1.39") && !isSince("1.40");

function isHeld(setting: string, kind: string): boolean {
  const isStreamed = setting === "STREAMED" || setting === "FULL_DUPLEX_STREAMED";
  // A handler that asks for tunnels has Envoy stream them wherever it may.
  return HOLDS_HEADERS && (isStreamed || (kind === "upgrades" && setting !== "NONE"));
}

describe.skipIf(envoyBinary === undefined)("a tunnel behind a real Envoy", () => {
  const requests: string[] = [];
  let upstream: BareUpstream;
  let scenes: RunningScenes;

  beforeAll(async () => {
    upstream = await startTunnelUpstream(requests);
    const inits = new Map<string, SceneInit>();
    for (const [name, processor] of Object.entries(PROCESSORS))
      for (const [setting, filter] of Object.entries(SETTINGS))
        inits.set(`${name}-${setting}`, {
          server: served(processor, {
            envoy: { allowModeOverride: "allow_mode_override" in filter },
            adminListen: "off",
          }),
          upstreamPort: upstream.port,
          filter,
          manager: {
            upgrade_configs: [{ upgrade_type: "websocket" }, { upgrade_type: "custom" }, { upgrade_type: "CONNECT" }],
            http2_protocol_options: { allow_connect: true },
          },
          virtualHosts: ({ upstream: cluster }) => [
            {
              name: "all",
              domains: ["*"],
              routes: [
                {
                  match: { connect_matcher: {} },
                  route: { cluster, upgrade_configs: [{ upgrade_type: "CONNECT" }] },
                },
                { match: { prefix: "/" }, route: { cluster } },
              ],
            },
          ],
        });
    for (const mode of ["BUFFERED", "BUFFERED_PARTIAL"])
      inits.set(`neutral-${mode}`, {
        server: scripted(),
        upstreamPort: upstream.port,
        filter: modesOf(mode),
        manager: { upgrade_configs: [{ upgrade_type: "websocket" }] },
      });
    scenes = await startScenes(inits);
  }, 60_000);

  afterAll(async () => {
    await scenes?.stop();
    await upstream?.close();
  });

  const sceneOf = (name: string) => scenes.scenes.get(name) as Scene<ServedScene>;

  for (const setting of Object.keys(SETTINGS)) {
    for (const kind of Object.keys(PROCESSORS)) {
      const title = `a tunnel is opened, and no byte of it is changed: ${setting}, a handler ${kind}`;
      test.skipIf(isHeld(setting, kind))(title, async () => {
        const scene = sceneOf(`${kind}-${setting}`);
        for (const [name, open] of Object.entries(TUNNELS)) {
          const isUpgrade = !name.startsWith("CONNECT");
          const status = isUpgrade && name.endsWith("HTTP/1") ? 101 : 200;
          const { status: got, received } = await open(scene.port);
          expect([got, received], name).toEqual([status, `${isUpgrade ? "hi" : ""}${ECHO}`]);
        }
        const { spurious_msgs_received, streams_failed, message_timeouts } = await scene.counters();
        expect({ spurious_msgs_received, streams_failed, message_timeouts }).toEqual({
          spurious_msgs_received: 0,
          streams_failed: 0,
          message_timeouts: 0,
        });
        // A handler that asks for tunnels is told that Envoy sends none, once for each direction.
        const warnings = scene.server.logLines().filter(({ level }) => level !== "info" && level !== "debug");
        const reasons = kind === "upgrades" && setting === "NONE" ? ["body_not_sent", "body_not_sent"] : [];
        expect(warnings.map(({ reason }) => reason)).toEqual(reasons);
      });
    }
  }

  test.skipIf(HOLDS_HEADERS)(
    "a tunnel is seen by an inspect handler that has upgrades, and by no other handler",
    async () => {
      const { received } = await overHttp1(
        sceneOf("upgrades-FULL_DUPLEX_STREAMED").port,
        `GET /ws HTTP/1.1\r\n${UPGRADE}\r\n`,
      );
      expect(received).toBe(`hi${ECHO}`);
      expect(seen["upgrades.request"]).toMatch(/ping$/);
      expect(seen["upgrades.response"]).toMatch(/echo:ping$/);
      expect([seen["inspect.request"], seen["inspect.response"]]).toEqual([undefined, undefined]);
    },
  );

  test("a tunnel is not opened by Envoy in BUFFERED and BUFFERED_PARTIAL, whatever the server answers", async () => {
    for (const mode of ["BUFFERED", "BUFFERED_PARTIAL"]) {
      const { status } = await overHttp1(sceneOf(`neutral-${mode}`).port, `GET /ws HTTP/1.1\r\n${UPGRADE}\r\n`);
      expect(status, mode).toBeUndefined();
      const call = await (sceneOf(`neutral-${mode}`) as unknown as Scene<ScriptedServer>).server.call(0);
      expect(call.kinds).toEqual(["requestHeaders"]);
    }
  });

  test("a tunnel that the upstream rejects is an ordinary response, with a body for its handler", async () => {
    const { status, received } = await overHttp1(
      sceneOf("json-FULL_DUPLEX_STREAMED").port,
      `GET /refuse HTTP/1.1\r\n${CUSTOM}\r\n`,
    );
    expect(status).toBe(200);
    expect(received).toContain('{"made": true}');
  });

  test("a tunnel is not opened by a request with a body before it, which no handler could see", async () => {
    for (const setting of ["STREAMED", "FULL_DUPLEX_STREAMED", "NONE"]) {
      const already = requests.length;
      const head = `POST /refuse HTTP/1.1\r\n${CUSTOM}content-length: 5\r\n\r\nhello`;
      const { status } = await overHttp1(sceneOf(`json-${setting}`).port, head);
      expect([status, requests.length - already], setting).toEqual([500, 0]);
    }
  });
});
