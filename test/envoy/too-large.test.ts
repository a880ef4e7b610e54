import { connect } from "node:http2";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor, type FaultPolicy, type Processor } from "../../src/index.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { type RunningScenes, type SceneInit, startScenes } from "./rows/scene.ts";
import { FAIL_OPEN } from "./rows/script-scenes.ts";
import { type ServedScene, served } from "./rows/served.ts";

/** Above --max-message-bytes, below Envoy's stream window of 16 MiB. */
const LARGE_BYTES = 5 << 20;
const POLICIES: readonly FaultPolicy[] = ["envoy", "open", "closed"];

function gate(onFault: FaultPolicy, overLimit: "reject" | "pass" = "reject"): Processor {
  const handler = { read: "whole", handle: () => undefined, maxBytes: 64 << 20, overLimit } as const;
  return defineProcessor({ name: "gate", onFault, requestBody: handler, responseBody: handler });
}

const bodies = (mode: string) => ({ processing_mode: { request_body_mode: mode, response_body_mode: mode } });

const INITS: Readonly<Record<string, SceneInit<ServedScene>>> = {
  ...Object.fromEntries(
    POLICIES.map((onFault) => [
      `gate-${onFault}`,
      { server: served(gate(onFault)), filter: { ...FAIL_OPEN, ...bodies("BUFFERED") } },
    ]),
  ),
  unread: {
    server: served(defineProcessor({ name: "p", requestHeaders: () => undefined })),
    filter: bodies("BUFFERED"),
  },
  passing: {
    server: served(gate("closed", "pass")),
    filter: { ...FAIL_OPEN, ...bodies("BUFFERED") },
  },
  roomy: { server: served(gate("closed"), { maxMessageBytes: 32 << 20 }), filter: bodies("BUFFERED") },
};

describe.skipIf(envoyBinary === undefined)("behind a real Envoy, an HTTP/2 body above --max-message-bytes", () => {
  let running: RunningScenes;

  beforeAll(async () => {
    const respond: SceneInit["respond"] = (response, request) =>
      response.end(request.path === "/large" ? Buffer.alloc(LARGE_BYTES, 121) : "small");
    running = await startScenes(new Map(Object.entries(INITS).map(([name, init]) => [name, { ...init, respond }])));
  });

  afterAll(() => running?.stop());

  const sceneOf = (name: string) => {
    const scene = running.scenes.get(name);
    if (scene === undefined) throw new Error(`there is no scene ${name}`);
    return scene;
  };

  test.each(POLICIES)(
    "a body that is too large is 413 in a request under onFault %s with failure_mode_allow, and does not reach the upstream",
    async (onFault) => {
      const scene = sceneOf(`gate-${onFault}`);
      expect(await sendHttp2(scene.port, { bytes: LARGE_BYTES })).toMatchObject({ status: 413 });
      expect(scene.upstream.filter(({ path }) => path === "/")).toEqual([]);
    },
  );

  test.each(POLICIES)(
    "a body that is too large is 500 in a response under onFault %s with failure_mode_allow",
    async (onFault) => {
      expect(await sendHttp2(sceneOf(`gate-${onFault}`).port, { path: "/large" })).toEqual({ status: 500, bytes: 0 });
    },
  );

  test.each(["unread", "passing", "roomy"])(
    "a large body passes byte for byte if no handler must see it, or the limit is higher: %s",
    async (name) => {
      const scene = sceneOf(name);
      expect(await sendHttp2(scene.port, { bytes: LARGE_BYTES })).toMatchObject({ status: 200 });
      expect(scene.upstream.at(-1)?.body.length).toBe(LARGE_BYTES);
      expect(await sendHttp2(scene.port, { path: "/large" })).toEqual({ status: 200, bytes: LARGE_BYTES });
    },
  );

  test("a large body is one message in BUFFERED up to the stream window of 16 MiB, and 413 of Envoy itself above it", async () => {
    const { port, upstream } = sceneOf("roomy");
    expect(await sendHttp2(port, { bytes: 15 << 20 })).toMatchObject({ status: 200 });
    const before = upstream.length;
    expect(await sendHttp2(port, { bytes: 17 << 20 })).toMatchObject({ status: 413 });
    expect(upstream.length).toBe(before);
  });

  test("a body above 1 MiB over HTTP/1 is 413 of Envoy itself, before the server sees it", async () => {
    const { send } = sceneOf("roomy");
    expect(await send({ method: "POST", body: "x".repeat(2 << 20) })).toMatchObject({ status: 413 });
    expect(await send({ path: "/large" })).toMatchObject({ status: 500 });
  });
});

interface Sent {
  readonly path?: string;
  readonly bytes?: number;
}

function sendHttp2(port: number, { path = "/", bytes = 0 }: Sent): Promise<{ status: number; bytes: number }> {
  return new Promise((resolve) => {
    const session = connect(`http://127.0.0.1:${port}`);
    const stream = session.request(
      { ":method": bytes > 0 ? "POST" : "GET", ":path": path, ...(bytes > 0 && { "content-length": String(bytes) }) },
      { endStream: bytes === 0 },
    );
    const got = { status: 0, bytes: 0 };
    stream.on("response", (headers) => {
      got.status = Number(headers[":status"]);
    });
    stream.on("data", (chunk: Buffer) => {
      got.bytes += chunk.length;
    });
    // A response may come before the whole request was sent.
    stream.on("error", () => undefined);
    session.on("error", () => undefined);
    stream.on("close", () => {
      session.close();
      resolve(got);
    });
    if (bytes > 0) stream.end(Buffer.alloc(bytes, 120));
  });
}
