import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, type Processor, replaceJson, setHeader } from "../../src/index.ts";
import { type BareUpstream, startBareUpstream } from "./bare-upstream.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import { scripted } from "./rows/script-scenes.ts";
import { type ServedScene, served } from "./rows/served.ts";
import type { ScriptedServer } from "./scripted.ts";

const MODES = ["BUFFERED", "BUFFERED_PARTIAL", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;
const JSON_TYPE = "content-type: application/json\r\n";
const VALIDATORS = ["etag", "accept-ranges", "content-md5", "content-length"] as const;
const VALIDATED = `${JSON_TYPE}etag: "1"\r\naccept-ranges: bytes\r\ncontent-md5: x\r\ncontent-length: 6\r\n`;

function filterOf(mode: string): JsonObject {
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

/** Responses by path. */
const RESPONSES: Readonly<Record<string, string>> = {
  "/validated": `HTTP/1.1 200 OK\r\n${VALIDATED}\r\n`,
  "/not-modified": `HTTP/1.1 304 Not Modified\r\n${VALIDATED}\r\n`,
  "/length": `HTTP/1.1 200 OK\r\n${JSON_TYPE}content-length: 0\r\n\r\n`,
  "/hints": `HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n${JSON_TYPE}content-length: 0\r\n\r\n`,
  "/continue": `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n${JSON_TYPE}content-length: 0\r\n\r\n`,
  "/chunked": `HTTP/1.1 200 OK\r\n${JSON_TYPE}transfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
};

/** Handlers that would change every body, and that accept none which is not JSON. */
const PROCESSORS: Readonly<Record<string, Processor>> = {
  json: defineProcessor({
    name: "json",
    onFault: "closed",
    requestHeaders: () => setHeader("x-seen", "1"),
    requestBody: { read: "json", required: true, handle: () => replaceJson({ made: true }) },
    responseBody: { read: "json", required: true, handle: () => replaceJson({ made: true }) },
  }),
  chunks: defineProcessor({
    name: "chunks",
    onFault: "closed",
    requestHeaders: () => setHeader("x-seen", "1"),
    requestBody: { read: "chunks", required: true, chunk: () => Buffer.from("made") },
    responseBody: { read: "chunks", required: true, chunk: () => Buffer.from("made") },
  }),
};

/** Ways to send a DELETE without content. */
const FRAMINGS: Readonly<Record<string, (port: number, path: string) => Promise<Received>>> = {
  "content-length: 0": (port, path) => overHttp1(port, `DELETE ${path}`, "content-length: 0\r\n\r\n"),
  "a last chunk alone": (port, path) =>
    overHttp1(port, `DELETE ${path}`, "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
  "no framing header over HTTP/1": (port, path) => overHttp1(port, `DELETE ${path}`, "\r\n"),
  "END_STREAM on the headers": (port, path) => overHttp2(port, path, "headers"),
  "an empty DATA frame": (port, path) => overHttp2(port, path, "frame"),
};

interface Received {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Everything, as it came over HTTP/1. */
  readonly text?: string;
}

/** Sends a request on its own connection, and reads until Envoy closes it. */
function overHttp1(port: number, line: string, rest: string): Promise<Received> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, "127.0.0.1");
    let text = "";
    socket.setEncoding("latin1").on("data", (more: string) => {
      text += more;
    });
    socket.on("error", reject).on("end", () => {
      socket.destroy();
      const [head = "", ...body] = text.split("\r\n\r\n");
      const [first = "", ...lines] = head.split("\r\n");
      const headers = lines.map((header) => header.split(": ", 2) as [string, string]);
      const content = body.join("\r\n\r\n").replace(/^0\r\n(\r\n)?$/, "");
      resolve({ status: Number(first.split(" ")[1]), headers: Object.fromEntries(headers), body: content, text });
    });
    socket.write(`${line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n${JSON_TYPE}${rest}`, "latin1");
  });
}

async function overHttp2(port: number, path: string, end: "headers" | "frame"): Promise<Received> {
  const session = connectHttp2(`http://127.0.0.1:${port}`);
  try {
    return await new Promise<Received>((resolve, reject) => {
      session.on("error", reject);
      const head = { ":method": "DELETE", ":path": path, "content-type": "application/json" };
      const stream = session.request(head, { endStream: end === "headers" });
      let status = 0;
      let headers: Record<string, string> = {};
      let body = "";
      stream.on("error", reject).on("response", ({ ":status": code = 0, ...rest }) => {
        status = code;
        headers = rest as Record<string, string>;
      });
      stream.setEncoding("latin1").on("data", (more: string) => {
        body += more;
      });
      stream.on("end", () => resolve({ status, headers, body }));
      if (end === "frame") stream.end();
    });
  } finally {
    session.destroy();
  }
}

describe.skipIf(envoyBinary === undefined)("a message without content behind a real Envoy", () => {
  /** Requests that the upstream got: the head, and the body as it came. */
  const requests: string[] = [];
  let upstream: BareUpstream;
  let scenes: RunningScenes;

  beforeAll(async () => {
    upstream = await startBareUpstream((waiting, socket) => {
      const end = waiting.indexOf("\r\n\r\n");
      if (end < 0) return waiting;
      const isChunked = /^transfer-encoding: chunked/im.test(waiting.slice(0, end));
      if (isChunked && !waiting.endsWith("0\r\n\r\n")) return waiting;
      requests.push(waiting);
      const [, path = ""] = waiting.split(" ");
      const body = waiting.startsWith("GET ") && path === "/validated" ? "[1, 2]" : "";
      socket.write(`${RESPONSES[path]}${body}`);
      return "";
    });
    const inits = new Map<string, SceneInit>();
    for (const [name, processor] of Object.entries(PROCESSORS))
      for (const mode of MODES) {
        inits.set(`${name}-${mode}`, {
          server: served(processor, { adminListen: "off" }),
          upstreamPort: upstream.port,
          filter: filterOf(mode),
        });
      }
    for (const mode of ["NONE", "STREAMED", "FULL_DUPLEX_STREAMED"])
      inits.set(`interim-${mode}`, {
        server: scripted(),
        upstreamPort: upstream.port,
        filter: filterOf(mode),
        manager: { proxy_100_continue: true },
      });
    scenes = await startScenes(inits);
  }, 60_000);

  afterAll(async () => {
    await scenes?.stop();
    await upstream?.close();
  });

  const sceneOf = (name: string) => scenes.scenes.get(name) as Scene<ServedScene>;
  const faultsOf = (scene: Scene<ServedScene>) =>
    scene.server.logLines().filter(({ level }) => level !== "info" && level !== "debug");

  test("an interim response (100 and 103) is not shown to a server in any mode", async () => {
    for (const mode of ["NONE", "STREAMED", "FULL_DUPLEX_STREAMED"]) {
      for (const [index, path] of ["/hints", "/continue"].entries()) {
        const scene = scenes.scenes.get(`interim-${mode}`) as Scene<ScriptedServer>;
        const { status, text } = await overHttp1(scene.port, `GET ${path}`, "\r\n");
        const call = await scene.server.call(index);
        expect(call.kinds, `${mode} ${path}`).toEqual(["requestHeaders", "responseHeaders"]);
        const last = call.events.flatMap((event) => (event.kind === "received" ? [event.message.request] : [])).at(-1);
        const fields = last?.case === "responseHeaders" ? (last.value.headers?.headers ?? []) : [];
        const shown = Object.fromEntries(fields.map(({ key, rawValue }) => [key, Buffer.from(rawValue).toString()]));
        expect(shown, `${mode} ${path}`).toMatchObject({ ":status": "200" });
        expect(shown).not.toHaveProperty("link");
        // The client gets the interim response and the final one.
        const interim = path === "/hints" ? 103 : 100;
        expect([status, /^HTTP\/1.1 200 OK\r$/m.test(text ?? "")], `${mode} ${path}`).toEqual([interim, true]);
      }
    }
  });

  for (const mode of MODES) {
    test.each(Object.keys(FRAMINGS))(
      `a message without content passes in ${mode} if it is framed by %s, whatever handlers it has`,
      async (framing) => {
        for (const kind of Object.keys(PROCESSORS)) {
          const scene = sceneOf(`${kind}-${mode}`);
          for (const path of ["/length", "/chunked"]) {
            const already = requests.length;
            const received = await FRAMINGS[framing]?.(scene.port, path);
            expect([received?.status, received?.body], `${kind} ${path}`).toEqual([200, ""]);
            const [head = "", body] = requests[already]?.split("\r\n\r\n") ?? [];
            expect(head, `${kind} ${path}`).toContain("x-seen: 1");
            expect(["", "0"], `${kind} ${path}`).toContain(body);
          }
          expect(faultsOf(scene)).toEqual([]);
        }
      },
    );

    test(`a message without content has no validators in ${mode} of a body that handlers would change: HEAD and 304`, async () => {
      for (const kind of Object.keys(PROCESSORS)) {
        const { port, ...scene } = sceneOf(`${kind}-${mode}`);
        const get = await overHttp1(port, "GET /validated", "\r\n");
        expect(get.body, kind).toContain("made");
        const head = await overHttp1(port, "HEAD /validated", "\r\n");
        const notModified = await overHttp1(port, "GET /not-modified", "\r\n");
        expect([head.status, head.body, notModified.status, notModified.body], kind).toEqual([200, "", 304, ""]);
        const left = [head, notModified].map(({ headers }) => VALIDATORS.filter((name) => name in headers));
        expect(left, kind).toEqual([[], []]);
        expect(faultsOf(scene as Scene<ServedScene>)).toEqual([]);
      }
    });
  }
});
