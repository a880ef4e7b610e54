import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, onTestFinished, test } from "vitest";
import { DebugService } from "../../gen/extproc/debug/v1/debug_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor } from "../../src/index.ts";
import { serverForTest } from "../server/start-server.ts";
import { deferred } from "../session/deferred.ts";
import { curl, hasCurl } from "./curl.ts";

const SERVICE = "extproc.debug.v1.DebugService";
const PAGE = "https://console.example";
const VERSIONS = ["--http1.1", "--http2-prior-knowledge"];
const JSON_TYPE = ["-H", "content-type: application/json"];

function describeUrl(port: number): string {
  return `http://127.0.0.1:${port}/${SERVICE}/Describe`;
}

describe.skipIf(!hasCurl).each(VERSIONS)("pages in browsers, curl %s", (version) => {
  test("the debug service answers preflight and call of a page of an allowed origin", async () => {
    const { port } = await serverForTest(hello, { debug: "on", debugAllowOrigins: [PAGE] });
    const asked = ["-H", "access-control-request-method: POST", "-H", "access-control-request-private-network: true"];
    const preflight = await curl(describeUrl(port), version, "-i", "-X", "OPTIONS", "-H", `origin: ${PAGE}`, ...asked);
    expect(preflight.status).toBe(204);
    expect(preflight.body).toMatch(/access-control-allow-origin: https:\/\/console\.example\r/);
    expect(preflight.body).toMatch(/access-control-allow-methods: POST\r/);
    expect(preflight.body).toMatch(/access-control-allow-headers: .*Content-Type.*X-Grpc-Web.*Authorization\r/);
    expect(preflight.body).toMatch(/access-control-allow-private-network: true\r/);
    const call = await curl(describeUrl(port), version, "-i", ...JSON_TYPE, "-d", "{}", "-H", `origin: ${PAGE}`);
    expect(call.status).toBe(200);
    expect(call.body).toMatch(/access-control-allow-origin: https:\/\/console\.example\r/);
    expect(call.body).toMatch(/vary: Origin\r/);
  });

  test.each(["https://elsewhere.example", "null", `${PAGE}.evil.example`])(
    "the debug service rejects pages of the origin %s",
    async (origin) => {
      const { port, adminPort } = await serverForTest(hello, { debug: "on", debugAllowOrigins: [PAGE] });
      for (const url of [describeUrl(port), describeUrl(adminPort)]) {
        for (const method of ["OPTIONS", "POST"]) {
          const args = ["-i", "-X", method, ...JSON_TYPE, "-d", "{}", "-H", `origin: ${origin}`];
          const answer = await curl(url, version, ...args);
          expect(answer.status).toBe(403);
          expect(answer.body).not.toContain("access-control");
        }
      }
    },
  );

  test("the admin listener answers pages of its own origin, and the main listener does not", async () => {
    const { port, adminPort } = await serverForTest(hello, { debug: "on" });
    const own = (at: number) => ["-H", `origin: http://127.0.0.1:${at}`, ...JSON_TYPE, "-d", "{}"];
    expect((await curl(describeUrl(adminPort), version, ...own(adminPort))).status).toBe(200);
    expect((await curl(describeUrl(port), version, ...own(port))).status).toBe(403);
  });

  test("the admin listener answers a preflight without the token, and a call only with the token", async () => {
    const token = "0123456789abcdef";
    const { adminPort } = await serverForTest(hello, { adminToken: token, debugAllowOrigins: [PAGE] });
    const url = describeUrl(adminPort);
    const page = ["-H", `origin: ${PAGE}`, ...JSON_TYPE];
    expect((await curl(url, version, "-X", "OPTIONS", ...page)).status).toBe(204);
    expect((await curl(url, version, "-d", "{}", ...page)).status).toBe(401);
    expect((await curl(url, version, "-d", "{}", ...page, "-H", `authorization: Bearer ${token}`)).status).toBe(200);
  });

  test("the admin listener rejects pages of a name that was rebound to the loopback address", async () => {
    const { adminPort } = await serverForTest(hello);
    const evil = ["-H", "host: evil.example", "-H", "origin: http://evil.example"];
    expect((await curl(describeUrl(adminPort), version, ...JSON_TYPE, "-d", "{}", ...evil)).status).toBe(403);
  });
});

describe("--debug", () => {
  const PATHS = [
    `/${SERVICE}/Simulate`,
    `/${SERVICE}/Describe`,
    "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
  ];
  test.skipIf(!hasCurl).each(["on", "admin", "off"] as const)(
    "--debug %s decides which listener has each service",
    async (debug) => {
      const { port, adminPort } = await serverForTest(hello, { debug, debugLimits: { maxCallsPerSecond: 1000 } });
      for (const path of PATHS) {
        const statusAt = async (at: number) =>
          (await curl(`http://127.0.0.1:${at}${path}`, ...JSON_TYPE, "-d", "{}")).status;
        const [main, admin] = [await statusAt(port), await statusAt(adminPort)];
        expect([path, main !== 404, admin !== 404]).toEqual([path, debug === "on", debug !== "off"]);
      }
      const page = await curl(`http://127.0.0.1:${port}/http-service`, "-d", '{"requestHeaders":{}}');
      expect(page.status).toBe(debug === "on" ? 200 : 404);
    },
  );
});

describe("limits of debug calls", () => {
  test("debug calls above the limit of simultaneous calls are resource_exhausted in each protocol", async () => {
    const held = deferred<undefined>();
    const patient = defineProcessor({ name: "patient", timeoutMs: 60_000, requestHeaders: () => held.promise });
    const debugLimits = { maxConcurrentCalls: 1, refusalDelayMs: 20 };
    const envoy = { messageTimeoutMs: 60_100 };
    const { port } = await serverForTest(patient, { debug: "on", debugLimits, envoy });
    const baseUrl = `http://127.0.0.1:${port}`;
    const transports = [
      createConnectTransport({ baseUrl, httpVersion: "1.1", useBinaryFormat: false }),
      createConnectTransport({ baseUrl, httpVersion: "2" }),
      createGrpcTransport({ baseUrl }),
      createGrpcWebTransport({ baseUrl, httpVersion: "1.1" }),
    ] as const;
    const first = createClient(DebugService, transports[0]).process({ requests: [{ request: HEADERS }] });
    // The first call is in once a second one is turned away.
    for (const transport of transports) {
      const client = createClient(DebugService, transport);
      const refused = async () => {
        for (;;) {
          const error = await client.describe({}).then(
            () => undefined,
            (cause: unknown) => ConnectError.from(cause),
          );
          if (error) return error;
        }
      };
      expect(await refused()).toMatchObject({
        code: Code.ResourceExhausted,
        rawMessage: "1 debug calls are running, which is the limit; wait for one of them",
      });
    }
    held.resolve(undefined);
    expect((await first).responses).toHaveLength(1);
  });

  test.skipIf(!hasCurl)("debug calls above the rate are resource_exhausted, and delayed", async () => {
    const { port } = await serverForTest(hello, {
      debug: "on",
      debugLimits: { maxCallsPerSecond: 1, refusalDelayMs: 300 },
    });
    for (let call = 0; call < 2; call++) {
      expect((await curl(describeUrl(port), ...JSON_TYPE, "-d", "{}")).status).toBe(200);
    }
    const start = performance.now();
    expect(await curl(describeUrl(port), ...JSON_TYPE, "-d", "{}")).toMatchObject({
      status: 429,
      body: '{"code":"resource_exhausted","message":"more than 1 debug calls a second, which is the limit; slow down"}',
    });
    expect(performance.now() - start).toBeGreaterThan(290);
  });

  test.skipIf(!hasCurl)("the debug service rejects 10 MiB of JSON and deep nesting in one line", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const folder = await mkdtemp(join(tmpdir(), "ext-proc-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, "body");
    const simulate = async (text: string) => {
      await writeFile(file, text);
      const url = `http://127.0.0.1:${port}/${SERVICE}/Simulate`;
      const { status, body } = await curl(url, ...JSON_TYPE, "--data-binary", `@${file}`);
      return { status, ...JSON.parse(body) };
    };
    expect(await simulate(`{"request":{"body":"${"x".repeat(10 << 20)}"}}`)).toMatchObject({
      status: 429,
      message: "the message is larger than the limit of 262144 bytes",
    });
    const depth = 900;
    const deep = `{"config":${"[".repeat(depth)}${"]".repeat(depth)}}`;
    expect(await simulate(deep)).toMatchObject({ status: 400, message: expect.stringMatching(/^config: .*depth/) });
    expect(await simulate('{"envoy":{"forwardRules":{"allowedHeaders":[{"safeRegex":"(a+)+$"}]}}}')).toEqual({
      status: 400,
      code: "invalid_argument",
      message: "envoy.forwardRules: safeRegex is allowed only in the command ext-proc simulate",
    });
    expect(await simulate(JSON.stringify({ request: { chunks: Array(65).fill("x") } }))).toMatchObject({
      status: 400,
      message: "request.chunks: expected at most 64 chunks, got 65",
    });
  });
});

const HEADERS = { case: "requestHeaders", value: {} } as const;
