import { once } from "node:events";
import type { ClientHttp2Session } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { DebugService, ProcessRequestSchema } from "../../gen/extproc/debug/v1/debug_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor } from "../../src/index.ts";
import { serverForTest } from "../server/start-server.ts";
import { deferred } from "../session/deferred.ts";
import { requestHeaders } from "./messages.ts";
import { frame, http2Session } from "./raw-grpc.ts";
import { sayAndListen, tcp } from "./tcp.ts";

const DESCRIBE = "/extproc.debug.v1.DebugService/Describe";
const CHECK = "/grpc.health.v1.Health/Check";
const JSON_TYPE = "application/json";

/** A request over HTTP/1.1 whose body lacks its last 8 bytes. */
function half1(path: string, type = JSON_TYPE, sent = "{"): string {
  return [
    `POST ${path} HTTP/1.1`,
    "host: 127.0.0.1",
    `content-type: ${type}`,
    `content-length: ${sent.length + 8}`,
    "",
    sent,
  ].join("\r\n");
}

/** The same over HTTP/2, if it is not ended. */
function half2(session: ClientHttp2Session, path: string, type = JSON_TYPE, sent: string | Buffer = "{") {
  const stream = session.request({ ":method": "POST", ":path": path, "content-type": type });
  stream.on("error", () => undefined);
  stream.write(sent);
  return stream;
}

async function answerOf(stream: ReturnType<typeof half2>) {
  const [headers] = (await once(stream, "response")) as [Record<string, string>];
  const body = Buffer.concat((await stream.toArray()) as Buffer[]).toString();
  return { headers, body };
}

async function describeAt(port: number): Promise<Response> {
  const headers = { "content-type": JSON_TYPE };
  return await fetch(`http://127.0.0.1:${port}${DESCRIBE}`, { method: "POST", headers, body: "{}" });
}

describe("a debug call whose body does not end", () => {
  test("a debug call whose body does not end takes no place from other calls, over HTTP/1.1 and HTTP/2", async () => {
    const { port } = await serverForTest(hello, { debug: "on", debugLimits: { maxConcurrentCalls: 1 } });
    const session = http2Session(port);
    for (let call = 0; call < 4; call++) {
      (await tcp(port)).write(half1(DESCRIBE));
      half2(session, DESCRIBE);
    }
    expect((await describeAt(port)).status).toBe(200);
  });

  test.each([DESCRIBE, CHECK])(
    "a debug call whose body does not end is rejected with 408 and deadline_exceeded in time: %s",
    async (path) => {
      const started = await serverForTest(hello, { debug: "on", debugLimits: { bodyTimeoutMs: 50 } });
      const overHttp1 = await sayAndListen(started.port, half1(path));
      expect(overHttp1).toMatch(/^HTTP\/1\.1 408 /);
      expect(overHttp1).toContain('"code":"deadline_exceeded"');
      const stream = half2(http2Session(started.port), path);
      const closed = once(stream, "close");
      const { headers, body } = await answerOf(stream);
      expect([headers[":status"], JSON.parse(body)]).toMatchObject([408, { code: "deadline_exceeded" }]);
      await closed;
      expect(await started.metric('ext_proc_memory_held_bytes{kind="debug"}')).toBe(0);
    },
  );

  test("a debug call whose body does not end is rejected with DEADLINE_EXCEEDED over gRPC and gRPC-Web", async () => {
    const { port } = await serverForTest(hello, { debug: "on", debugLimits: { bodyTimeoutMs: 50 } });
    for (const type of ["application/grpc", "application/grpc-web+proto"]) {
      const { headers } = await answerOf(half2(http2Session(port), DESCRIBE, type, Buffer.from("0000000009", "hex")));
      expect(headers["grpc-status"]).toBe(String(Code.DeadlineExceeded));
    }
  });

  test.each([DESCRIBE, CHECK])(
    "a debug call with a wrong content type is rejected before its body ends: %s",
    async (path) => {
      const { port } = await serverForTest(hello, { debug: "on", debugLimits: { bodyTimeoutMs: 3_600_000 } });
      const socket = await tcp(port);
      socket.write(half1(path, "text/plain"));
      const [answer] = (await once(socket, "data")) as [Buffer];
      expect(answer.toString()).toMatch(/^HTTP\/1\.1 415 /);
      const { headers } = await answerOf(half2(http2Session(port), path, "text/plain"));
      expect(headers[":status"]).toBe(415);
    },
  );
});

describe("a debug call with too much in it", () => {
  const headers = (count: number) => Array.from({ length: count }, (_, at): [string, string] => [`x-${at}`, ""]);

  test("a debug call with too many elements is resource_exhausted in each protocol, and not parsed", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const baseUrl = `http://127.0.0.1:${port}`;
    const request = { requests: [requestHeaders(headers(1_000))] };
    for (const transport of [
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
      createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: true }),
      createGrpcTransport({ baseUrl }),
      createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    ]) {
      const error = await createClient(DebugService, transport)
        .process(request)
        .catch((cause: unknown) => ConnectError.from(cause));
      expect(error).toMatchObject({
        code: Code.ResourceExhausted,
        rawMessage: expect.stringMatching(/ message .*more than (?:2000 fields|the limit of 2000 JSON elements)/),
      });
    }
  });

  test("the elements of a debug call are counted before parsing: text that is not JSON is rejected for its elements", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const body = "[".repeat(5_000);
    const answer = await fetch(`http://127.0.0.1:${port}${DESCRIBE}`, {
      method: "POST",
      headers: { "content-type": JSON_TYPE },
      body,
    });
    expect([answer.status, ((await answer.json()) as { message: string }).message]).toEqual([
      429,
      "the message has more than the limit of 2000 JSON elements",
    ]);
  });

  test("a debug call may have as many elements as the limits say", async () => {
    const { port } = await serverForTest(hello, { debug: "on", debugLimits: { maxCallElements: 4_100 } });
    const transport = createConnectTransport({ baseUrl: `http://127.0.0.1:${port}`, httpVersion: "2" });
    const { responses } = await createClient(DebugService, transport).process({
      requests: [requestHeaders(headers(1_000))],
    });
    expect(responses).toHaveLength(1);
  });
});

describe("the memory of requests", () => {
  test("the memory of requests is bounded: a call that does not fit is resource_exhausted, and the memory of waiting calls is returned", async () => {
    const started = await serverForTest(hello, { debug: "on", maxHeldDebugBytes: 8192 });
    const held = () => started.metric('ext_proc_memory_held_bytes{kind="debug"}');
    const session = http2Session(started.port);
    const waiting = half2(session, DESCRIBE, JSON_TYPE, " ".repeat(4000));
    await expect.poll(held).toBe(4000);
    const refusal = { code: "resource_exhausted", message: "the request exceeds the memory of --max-held-debug-bytes" };
    const refused = await answerOf(half2(session, DESCRIBE, JSON_TYPE, " ".repeat(3000)));
    expect([refused.headers[":status"], JSON.parse(refused.body)]).toEqual([429, refusal]);
    const overHttp1 = await sayAndListen(started.port, half1(DESCRIBE, JSON_TYPE, " ".repeat(3000)));
    expect(overHttp1).toMatch(/^HTTP\/1\.1 429 /);
    expect(await started.metric('ext_proc_memory_refusals_total{kind="debug"}')).toBe(2);
    waiting.end("{}");
    expect((await answerOf(waiting)).headers[":status"]).toBe(200);
    await expect.poll(held).toBe(0);
  });

  test("the memory of requests is returned if the client leaves, over HTTP/1.1 and HTTP/2", async () => {
    const started = await serverForTest(hello, { debug: "on" });
    const held = () => started.metric('ext_proc_memory_held_bytes{kind="debug"}');
    const socket = await tcp(started.port);
    socket.write(half1(DESCRIBE));
    const stream = half2(http2Session(started.port), DESCRIBE);
    await expect.poll(held).toBe(2);
    socket.destroy();
    stream.close();
    await expect.poll(held).toBe(0);
  });
});

test("a debug call over gRPC keeps its place until its handlers are done", async () => {
  const held = deferred<undefined>();
  const patient = defineProcessor({ name: "patient", timeoutMs: 60_000, requestHeaders: () => held.promise });
  const debugLimits = { maxConcurrentCalls: 1, refusalDelayMs: 1, maxCallsPerSecond: 1_000 };
  const { port } = await serverForTest(patient, { debug: "on", debugLimits, envoy: { messageTimeoutMs: 60_100 } });
  const message = toBinary(ProcessRequestSchema, create(ProcessRequestSchema, { requests: [requestHeaders()] }));
  const session = http2Session(port);
  const first = half2(session, DESCRIBE.replace("Describe", "Process"), "application/grpc", frame(message));
  first.end();
  await expect.poll(async () => (await describeAt(port)).status).toBe(429);
  held.resolve(undefined);
  expect((await answerOf(first)).headers[":status"]).toBe(200);
  await expect.poll(async () => (await describeAt(port)).status).toBe(200);
});
