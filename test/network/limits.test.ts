import { once } from "node:events";
import { request as httpRequest, type IncomingHttpHeaders } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import { describe, expect, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { serverForTest } from "../server/start-server.ts";
import { processAll } from "./grpc-js-client.ts";
import { requestBody, requestHeaders } from "./messages.ts";
import { frame, http2Session, openRawCall } from "./raw-grpc.ts";
import { sayAndListen } from "./tcp.ts";

interface Answer {
  readonly status: number | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** One request over HTTP/2. */
async function ask2(session: ClientHttp2Session, headers: Record<string, string>): Promise<Answer> {
  const stream = session.request(headers, { endStream: true });
  let received: Record<string, unknown> = {};
  stream.on("response", (answer) => {
    received = answer;
  });
  const chunks = (await stream.toArray()) as Buffer[];
  const { ":status": status, ...rest } = received;
  return { status: status as number, headers: rest as IncomingHttpHeaders, body: Buffer.concat(chunks).toString() };
}

/** One request over HTTP/1.1. */
function ask1(port: number, method: string, path: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ port, method, path, host: "127.0.0.1" }, async (response) => {
      const body = Buffer.concat((await response.toArray()) as Buffer[]).toString();
      resolve({ status: response.statusCode, headers: response.headers, body });
    });
    request.on("error", reject).end();
  });
}

describe("a path that is not a method", () => {
  const PATHS = ["/", "/nothing", "/envoy.service.ext_proc.v3.ExternalProcessor", "/__proto__", "//x%%%", "*"];

  test.each(PATHS)(
    "a path that is not a method is 404 over HTTP/1.1, with a text that says what this server is: %s",
    async (path) => {
      const { port } = await serverForTest(hello);
      for (const method of ["GET", "POST", "OPTIONS"]) {
        const answer = await ask1(port, method, path);
        expect(answer.status).toBe(404);
        expect(answer.headers["content-type"]).toBe("text/plain; charset=utf-8");
        expect(answer.body).toContain("envoy.service.ext_proc.v3.ExternalProcessor");
      }
    },
  );

  test.each(PATHS.filter((path) => path !== "*"))(
    "a path that is not a method is the same 404 over HTTP/2: %s",
    async (path) => {
      const { port } = await serverForTest(hello);
      const session = http2Session(port);
      for (const method of ["GET", "POST"]) {
        const answer = await ask2(session, { ":method": method, ":path": path });
        expect(answer.status).toBe(404);
        expect(answer.body).toContain("envoy.service.ext_proc.v3.ExternalProcessor");
      }
    },
  );

  test("a 404 has no body for HEAD", async () => {
    const { port } = await serverForTest(hello);
    expect(await ask1(port, "HEAD", "/x")).toMatchObject({ status: 404, body: "" });
    expect(await ask2(http2Session(port), { ":method": "HEAD", ":path": "/x" })).toMatchObject({
      status: 404,
      body: "",
    });
  });

  test("a GET of a method's path that GET cannot call is 405", async () => {
    const { port } = await serverForTest(hello);
    const path = "/grpc.health.v1.Health/Check";
    expect((await ask1(port, "GET", path)).status).toBe(405);
    expect((await ask2(http2Session(port), { ":method": "GET", ":path": path })).status).toBe(405);
  });

  test("an unknown method is UNIMPLEMENTED for a gRPC client", async () => {
    const { port } = await serverForTest(hello);
    const call = openRawCall(http2Session(port), { ":path": "/envoy.service.ext_proc.v3.ExternalProcessor/Nothing" });
    call.stream.end();
    expect(await call.httpStatus).toBe(200);
    expect(await call.status).toBe("12");
  });
});

const readsBodies = defineProcessor({ name: "p", requestBody: { read: "inspect", chunk: () => undefined } });
const respondsOnly = defineProcessor({ name: "p", responseHeaders: () => undefined });

describe("a message over the limit", () => {
  test("a message over the limit passes if it is a body that no handler reads", async () => {
    const started = await serverForTest(hello);
    const { answers, status } = await processAll(started.port, [
      requestHeaders(),
      requestBody(new Uint8Array(4 << 20)),
    ]);
    expect([answers.length, status.code]).toEqual([2, 0]);
    expect(await started.metric('ext_proc_faults_total{code="message_too_large",origin="envoy"}')).toBe(0);
  });

  test("a body message above 4 MiB is 413 if a handler reads the body, counted and logged, and the next stream is served", async () => {
    const started = await serverForTest(readsBodies);
    const body = new Uint8Array(4 << 20);
    const { answers, status } = await processAll(started.port, [requestHeaders(), requestBody(body)]);
    expect(answers.map(({ response }) => response.case)).toEqual(["requestHeaders", "immediateResponse"]);
    expect(answers[1]?.response.value).toMatchObject({
      status: { code: 413 },
      details: "ext_proc_fault_message_too_large",
    });
    expect(status.code).toBe(0);
    expect(await started.metric('ext_proc_faults_total{code="message_too_large",origin="envoy"}')).toBe(1);
    expect(started.logLines()).toContainEqual(expect.objectContaining({ level: "warn", fault: "message_too_large" }));
    const after = await processAll(started.port, [requestHeaders(), requestBody(body.subarray(100))]);
    expect([after.answers.length, after.status.code]).toEqual([2, 0]);
  });

  test("maxMessageBytes sets the limit of a message", async () => {
    const { port } = await serverForTest(readsBodies, { maxMessageBytes: 2048 });
    const answerTo = async (bytes: number) =>
      (await processAll(port, [requestBody("x".repeat(bytes))])).answers[0]?.response.case;
    expect([await answerTo(2000), await answerTo(2048)]).toEqual(["requestBody", "immediateResponse"]);
  });

  test("a message over the limit ends only its own stream, while the client still writes", async () => {
    const { port } = await serverForTest(respondsOnly, { maxMessageBytes: 2048 });
    const session = http2Session(port);
    const other = openRawCall(session);
    const call = openRawCall(session);
    // The length is announced and the first byte says that it is not a body; the other bytes never come.
    call.stream.write(Buffer.from("007fffffff12", "hex"));
    expect(await call.status).toBe("8");
    other.send(requestHeaders());
    expect((await other.next())?.response.case).toBe("requestHeaders");
  });

  test("a message over the limit is read to its end after its stream is over, so the client can close the stream", async () => {
    const { port } = await serverForTest(respondsOnly, { maxMessageBytes: 2048 });
    const call = openRawCall(http2Session(port));
    call.stream.write(Buffer.from("007fffffff12", "hex"));
    expect(await call.status).toBe("8");
    const closed = once(call.stream, "close");
    call.stream.end(Buffer.alloc(1 << 20));
    await closed;
    expect(call.stream.rstCode).toBe(0);
  });
});

describe("a malformed message", () => {
  test.each([
    ["bytes that are not protobuf", frame(Buffer.from([255, 255, 255])), "3"],
    ["an unknown flag", Buffer.from("0200000000", "hex"), "3"],
    ["an end in the middle of a message", Buffer.from("00000000ff01", "hex"), "3"],
  ])("a malformed message differs from no message: %s", async (_name, bytes, status) => {
    const started = await serverForTest(hello);
    const call = openRawCall(http2Session(started.port));
    call.stream.end(bytes);
    expect(await call.status).toBe(status);
    expect(await started.metric('ext_proc_faults_total{code="malformed_message",origin="envoy"}')).toBe(1);
  });
});

describe("a message with the compressed flag", () => {
  test.each([
    ["gzip", "12", "compressed_message", "identity"],
    ["snappy", "12", "compressed_message", "identity"],
    [undefined, "13", "compression_undeclared", undefined],
    ["identity", "13", "compression_undeclared", undefined],
  ])(
    "a compressed message with grpc-encoding %s ends with gRPC status %s, counted as %s",
    async (encoding, status, code, accepted) => {
      const started = await serverForTest(hello);
      const call = openRawCall(http2Session(started.port), encoding === undefined ? {} : { "grpc-encoding": encoding });
      const answer = once(call.stream, "response");
      call.stream.end(Buffer.from("0100000003ffffff", "hex"));
      expect(await call.status).toBe(status);
      const [headers] = (await answer) as [Record<string, string>];
      expect(headers["grpc-accept-encoding"]).toBe(accepted);
      expect(await started.metric(`ext_proc_faults_total{code="${code}",origin="envoy"}`)).toBe(1);
    },
  );

  test("a grpc-encoding without a compressed message is accepted", async () => {
    const { port } = await serverForTest(hello);
    const call = openRawCall(http2Session(port), { "grpc-encoding": "gzip" });
    call.send(requestHeaders());
    expect((await call.next())?.response.case).toBe("requestHeaders");
  });
});

describe("an authority", () => {
  test.each(["%%%bad", "[::1", "host:99999", "xn--", "a,b", "a b", "outbound|9002||ext-proc", "ns/policy/0"])(
    "any authority is accepted as data over HTTP/2: %s",
    async (authority) => {
      const { port } = await serverForTest(hello);
      const call = openRawCall(http2Session(port), { ":authority": authority });
      call.send(requestHeaders());
      expect((await call.next())?.response.case).toBe("requestHeaders");
    },
  );

  test.each(["%%%bad", "outbound|9002||ext-proc", "ns/policy/0", "", "a b"])(
    "any authority is accepted as data over HTTP/1.1: %j",
    async (host) => {
      const { port } = await serverForTest(hello);
      const head = "POST /grpc.health.v1.Health/Check HTTP/1.1\r\nconnection: close\r\ncontent-type: application/json";
      const answer = await sayAndListen(port, `${head}\r\nhost: ${host}\r\ncontent-length: 2\r\n\r\n{}`);
      expect(answer).toMatch(/^HTTP\/1\.1 200 /);
      expect(answer).toContain('"SERVING');
    },
  );
});
