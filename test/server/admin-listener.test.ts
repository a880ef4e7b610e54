import { request as httpRequest } from "node:http";
import { connect } from "node:http2";
import { describe, expect, onTestFinished, test } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { serve } from "../../src/server/serve.ts";
import { serverForTest } from "./start-server.ts";

const PATH = "/extproc.debug.v1.DebugService/Process";
const TOKEN = "0123456789abcdef";

/** Status of a debug call over HTTP/1.1 with these headers. */
function call1(port: number, headers: Record<string, string>): Promise<number | undefined> {
  const all = { "content-type": "application/json", "content-length": "2", ...headers };
  return new Promise((resolve, reject) => {
    httpRequest({ port, host: "127.0.0.1", method: "POST", path: PATH, headers: all }, (response) => {
      response.resume();
      resolve(response.statusCode);
    })
      .on("error", reject)
      .end("{}");
  });
}

/** Status of a debug call over HTTP/2 with these headers. */
async function call2(port: number, headers: Record<string, string>): Promise<number | undefined> {
  const session = connect(`http://127.0.0.1:${port}`);
  onTestFinished(() => session.destroy());
  const stream = session.request({ ":method": "POST", ":path": PATH, "content-type": "application/json", ...headers });
  const status = new Promise<number | undefined>((resolve) => {
    stream.on("response", (received) => resolve(received[":status"]));
    // Newer versions of Node reset a stream whose authority they reject.
    stream.on("error", () => resolve(undefined));
  });
  stream.end("{}");
  stream.resume();
  return status;
}

describe("the admin listener without a token", () => {
  test.each(["127.0.0.1:9004", "localhost", "LocalHost:1", "[::1]:9004", "127.1.2.3"])(
    "the admin listener without a token answers a request for the host %s",
    async (host) => {
      const { adminPort } = await serverForTest(hello);
      expect(await call1(adminPort, { host })).toBe(200);
      expect(await call2(adminPort, { ":authority": host })).toBe(200);
    },
  );

  test.each([
    "evil.example",
    "evil.example:9004",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "127.0.0.1@evil.example",
  ])("the admin listener without a token rejects a request for the host %s, as after DNS rebinding", async (host) => {
    const { adminPort } = await serverForTest(hello);
    expect(await call1(adminPort, { host })).toBe(403);
    expect([403, undefined]).toContain(await call2(adminPort, { ":authority": host }));
  });

  test("the admin listener without a token rejects a request with another authority although its host header is localhost", async () => {
    const { adminPort } = await serverForTest(hello);
    expect(await call2(adminPort, { ":authority": "evil.example", host: "localhost" })).toBe(403);
  });

  test.each(["0.0.0.0:0", ":0", "[::]:0", "example.invalid:0"])(
    "the admin listener without a token may not listen on %s",
    async (adminListen) => {
      const refused = serve(hello, { listen: "127.0.0.1:0", statusListen: "off", adminListen });
      await expect(refused).rejects.toMatchObject({
        name: "ListenError",
        option: "adminListen",
        malformed: true,
        message: `--admin-listen: ${adminListen} is reachable from other machines, so it needs --admin-token-file; or listen on 127.0.0.1`,
      });
    },
  );
});

describe("the admin listener with a token", () => {
  test("the admin listener with a token answers a request with the token for any host", async () => {
    const { adminPort } = await serverForTest(hello, { adminListen: "0.0.0.0:0", adminToken: TOKEN });
    const headers = { authorization: `Bearer ${TOKEN}` };
    expect(await call1(adminPort, { ...headers, host: "ext-proc.example" })).toBe(200);
    expect(await call2(adminPort, { ...headers, ":authority": "ext-proc.example" })).toBe(200);
    expect(await call1(adminPort, { authorization: `bearer ${TOKEN}` })).toBe(200);
  });

  test.each([
    ["no authorization", {}],
    ["another token", { authorization: "Bearer fedcba9876543210" }],
    ["half the token", { authorization: `Bearer ${TOKEN.slice(0, 8)}` }],
    ["a scheme without a token", { authorization: "Bearer" }],
    ["another scheme", { authorization: `Basic ${TOKEN}` }],
    ["the token alone", { authorization: TOKEN }],
  ])(
    "the admin listener with a token answers 401 to %s, even on loopback",
    async (_name, headers: Record<string, string>) => {
      const { adminPort } = await serverForTest(hello, { adminToken: TOKEN });
      expect(await call1(adminPort, headers)).toBe(401);
      expect(await call2(adminPort, headers)).toBe(401);
    },
  );
});
