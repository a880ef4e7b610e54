import { describe, expect, test } from "vitest";
import { hello } from "../../../src/builtin/hello.ts";
import { defineProcessor, setHeader, streamedImmediateResponse } from "../../../src/index.ts";
import { curl, hasCurl } from "../../network/curl.ts";
import { serverForTest } from "../../server/start-server.ts";
import { upperProcessor } from "../../session/body/upper.ts";

const HEADERS = '{"request_headers":{"headers":{"headers":[{"key":":path","raw_value":"Lw=="}]},"end_of_stream":true}}';

describe.skipIf(!hasCurl).each(["--http1.1", "--http2-prior-knowledge"])("POST /http-service, curl %s", (version) => {
  const post = (port: number, body: string, ...args: readonly string[]) =>
    curl(`http://127.0.0.1:${port}/http-service`, version, "--data-binary", body, ...args);

  test("/http-service answers a message as Envoy prints it and one in camelCase, with or without unknown fields", async () => {
    const { port } = await serverForTest(hello, { httpService: true });
    for (const body of [HEADERS, '{"requestHeaders":{}}', '{"requestHeaders":{},"someNewField":{"a":1}}']) {
      const answer = await post(port, body);
      expect(answer.status).toBe(200);
      expect(Object.keys(JSON.parse(answer.body))).toEqual(["requestHeaders"]);
    }
  });

  test("/http-service reports that an answer waits for a body, which does not come over HTTP", async () => {
    const { port } = await serverForTest(upperProcessor("whole"), { httpService: true });
    const { status, body } = await post(port, '{"requestHeaders":{},"protocolConfig":{"requestBodyMode":4}}');
    expect(status).toBe(500);
    expect(body).toMatch(/^there are no bodies over HTTP: /);
  });

  test("/http-service is 404 unless it is switched on", async () => {
    const { port, adminPort } = await serverForTest(hello);
    expect((await post(port, HEADERS)).status).toBe(404);
    expect((await post(adminPort, HEADERS)).status).toBe(404);
  });

  test("/http-service gives handlers its origin, a new state, and the route's configuration", async () => {
    const seen: unknown[] = [];
    const counting = defineProcessor({
      name: "counting",
      state: () => ({ calls: 0 }),
      requestHeaders(_headers, tx) {
        seen.push([tx.origin, ++tx.state.calls, tx.grpcMetadata.get("x-tenant")]);
      },
      responseHeaders(_headers, tx) {
        seen.push([tx.origin, ++tx.state.calls]);
        return setHeader("x-done", "yes");
      },
    });
    const { port, metric } = await serverForTest(counting, { httpService: true });
    await post(port, HEADERS, "-H", "x-tenant: acme");
    await post(port, '{"response_headers":{}}');
    expect(seen).toEqual([
      ["http_service", 1, "acme"],
      ["http_service", 1],
    ]);
    expect(await metric('ext_proc_streams_total{result="completed",origin="http_service"}')).toBe(2);
  });

  test.each([
    ["no JSON", "{nope", 400, "the body is not JSON\n"],
    [
      "no message",
      '{"requestHeaders":5}',
      400,
      "the body is not a ProcessingRequest: requestHeaders: expected an object, got a number\n",
    ],
    [
      "deep nesting",
      `{"attributes":{"a":{"b":${"[".repeat(5000)}${"]".repeat(5000)}}}}`,
      400,
      /^the body is not a ProcessingRequest: .*depth[^\n]*\n$/,
    ],
  ])("/http-service answers %s with one line and a status other than 200", async (_name, body, status, message) => {
    const { port } = await serverForTest(hello, { httpService: true });
    const answer = await post(port, body);
    expect(answer.status).toBe(status);
    expect(answer.body).toMatch(message);
  });

  test("/http-service answers a fault with 500, and does not show what was thrown", async () => {
    const broken = defineProcessor({
      name: "broken",
      requestHeaders() {
        throw new Error("s3cret");
      },
    });
    const { port } = await serverForTest(broken, { httpService: true });
    const answer = await post(port, HEADERS);
    expect(answer).toMatchObject({
      status: 500,
      body: 'handler_threw: processor "broken", requestHeaders: the handler threw\n',
    });
  });

  test("/http-service rejects a message that needs several answers", async () => {
    const streaming = defineProcessor({
      name: "streaming",
      requestHeaders: () => streamedImmediateResponse(200, { chunks: [new Uint8Array([1])] }),
    });
    const { port } = await serverForTest(streaming, { httpService: true });
    expect((await post(port, HEADERS)).status).toBe(500);
  });

  test("/http-service rejects calls of web pages, other methods, and messages that are too large", async () => {
    const { port } = await serverForTest(hello, { httpService: true, maxMessageBytes: 4096 });
    expect((await post(port, HEADERS, "-H", "origin: https://any.example")).status).toBe(403);
    expect((await curl(`http://127.0.0.1:${port}/http-service`, version)).status).toBe(405);
    expect((await post(port, `{"requestBody":{"body":"${"A".repeat(5000)}"}}`)).status).toBe(413);
  });
});
