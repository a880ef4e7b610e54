import { once } from "node:events";
import { request as httpRequest, type IncomingMessage } from "node:http";
import { connect } from "node:net";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startUpstream, type Upstream } from "../../src/cli/demo/upstream.ts";

let upstream: Upstream;
let base: string;

beforeAll(async () => {
  upstream = await startUpstream({ maxBodyBytes: 1000 });
  base = `http://127.0.0.1:${upstream.port}`;
});

afterAll(() => upstream.close());

async function json(path: string, init: RequestInit = {}): Promise<Record<string, unknown>> {
  const response = await fetch(base + path, init);
  expect(response.headers.get("content-type")).toBe("application/json");
  return (await response.json()) as Record<string, unknown>;
}

/** The answer to these raw lines, on a separate connection. */
async function raw(lines: readonly string[]): Promise<string> {
  const socket = connect(upstream.port, "127.0.0.1");
  socket.end(Buffer.from(`${lines.join("\r\n")}`, "latin1"));
  return text(socket);
}

describe("/headers", () => {
  test("/headers repeats the request's headers, written like httpbin's", async () => {
    const { headers } = await json("/headers", { headers: { "x-ext-proc-header": "hello-to-asm" } });
    expect(headers).toMatchObject({ Host: `127.0.0.1:${upstream.port}`, "X-Ext-Proc-Header": "hello-to-asm" });
    expect(Object.keys(headers as object)).toEqual(Object.keys(headers as object).toSorted());
  });

  test("/headers joins repeated headers by commas, keeps UTF-8 text and shows other bytes as latin1", async () => {
    const answer = await raw([
      ...["GET /headers HTTP/1.1", "host: a", "connection: close"],
      ...["x-a: 1", "X-A: 2", "x-utf8: \xc3\xa9", "x-latin1: \xe9", "__proto__: p", "", ""],
    ]);
    expect(JSON.parse(answer.slice(answer.indexOf("\r\n\r\n")))).toEqual({
      headers: JSON.parse(
        '{"Connection": "close", "Host": "a", "X-A": "1,2", "X-Latin1": "é", "X-Utf8": "é", "__proto__": "p"}',
      ),
    });
  });
});

describe("/anything and /post", () => {
  test("/anything and /post repeat method, URL, arguments and a text body", async () => {
    const echoed = await json("/anything/deep?a=1&b=2&b=3&c", { method: "PUT", body: "grüße" });
    expect(echoed).toMatchObject({
      args: { a: "1", b: ["2", "3"], c: "" },
      data: "grüße",
      method: "PUT",
      origin: "127.0.0.1",
      url: `${base}/anything/deep?a=1&b=2&b=3&c`,
    });
    expect(echoed).not.toHaveProperty("trailers");
    expect(await json("/post", { method: "POST", body: '{"a":1}' })).toMatchObject({ data: '{"a":1}', method: "POST" });
  });

  test("/anything and /post return a body that is not UTF-8 as base64, byte for byte", async () => {
    const body = Uint8Array.from({ length: 256 }, (_, i) => i);
    const { data } = await json("/post", { method: "POST", body });
    const encoded = String(data).replace("data:application/octet-stream;base64,", "");
    expect(new Uint8Array(Buffer.from(encoded, "base64"))).toEqual(body);
  });

  test("/anything and /post repeat trailers in the JSON and as trailers of the answer", async () => {
    const request = httpRequest(`${base}/anything`, { method: "POST", headers: { trailer: "x-checksum" } });
    request.addTrailers({ "x-checksum": "abc" });
    request.end("hello");
    const [response] = (await once(request, "response")) as [IncomingMessage];
    const body = JSON.parse(await text(response));
    expect(body).toMatchObject({ data: "hello", trailers: { "X-Checksum": "abc" } });
    expect(response.headers.trailer).toBe("x-checksum");
    expect(response.trailers).toEqual({ "x-checksum": "abc" });
  });

  test("/post accepts only POST", async () => {
    const response = await fetch(`${base}/post`);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });
});

describe("/status/N", () => {
  test("/status/N answers with status N and no body", async () => {
    for (const status of [200, 204, 304, 404, 503, 599]) {
      const response = await fetch(`${base}/status/${status}`);
      expect([response.status, await response.text()]).toEqual([status, ""]);
    }
  });

  test("/status/N has no content-length if HTTP forbids one", async () => {
    const answer = await raw(["GET /status/204 HTTP/1.1", "host: a", "connection: close", "", ""]);
    expect(answer.toLowerCase()).not.toMatch(/content-length|transfer-encoding/);
  });
});

describe("the demo's upstream", () => {
  test("an unknown path gets 404 with the list of known paths", async () => {
    for (const path of ["/", "//", "/status/99", "/status/600", "/status/2000", "/post/x", "/headersx"]) {
      const response = await fetch(`${base}${path}`);
      expect(response.status).toBe(404);
      expect(await response.json()).toEqual({
        error: `nothing at ${path}`,
        paths: ["/headers", "/anything", "/anything/...", "/post", "/status/N"],
      });
    }
  });

  test("a body over the limit gets 413, and the connection continues", async () => {
    const big = ["POST /post HTTP/1.1", "host: a", "content-length: 50000", "", "x".repeat(50_000)].join("\r\n");
    const answer = await raw([`${big}GET /status/418 HTTP/1.1`, "host: a", "connection: close", "", ""]);
    expect(answer).toMatch(/^HTTP\/1\.1 413 /);
    expect(answer).toContain("HTTP/1.1 418 ");
  });

  test("a body of exactly the limit passes", async () => {
    expect(await json("/post", { method: "POST", body: "x".repeat(1000) })).toMatchObject({ data: "x".repeat(1000) });
  });

  test("a used port rejects with the system's error", async () => {
    await expect(startUpstream({ port: upstream.port })).rejects.toMatchObject({ code: "EADDRINUSE" });
  });
});
