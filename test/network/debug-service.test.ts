import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromJson, toJson } from "@bufbuild/protobuf";
import { describe, expect, onTestFinished, test } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { ProcessResponseSchema } from "../../gen/extproc/debug/v1/debug_pb.js";
import { createHeaderModifier } from "../../src/builtin/header-modifier.ts";
import { hello } from "../../src/builtin/hello.ts";
import { compose, defineProcessor, immediateResponse, setHeader } from "../../src/index.ts";
import type { DebugExposure } from "../../src/server/serve.ts";
import { serverForTest } from "../server/start-server.ts";
import { curl, hasCurl } from "./curl.ts";
import { processAll } from "./grpc-js-client.ts";
import {
  asJson,
  headersSet,
  requestBody,
  requestHeaders,
  requestTrailers,
  responseBody,
  responseHeaders,
  responseTrailers,
} from "./messages.ts";

const PATH = "/extproc.debug.v1.DebugService/Process";
const JSON_TYPE = ["-H", "content-type: application/json"];
const VERSIONS = [
  ["1.1", "--http1.1"],
  ["2", "--http2-prior-knowledge"],
] as const;

/** Learns in an asynchronous handler what a later one needs. */
const later = defineProcessor({
  name: "later",
  state: () => ({ user: "" }),
  async requestHeaders(_headers, tx) {
    await new Promise((resolve) => setImmediate(resolve));
    tx.state.user = tx.request.get("x-user") ?? "";
  },
  responseHeaders: (_headers, tx) => setHeader("x-user", tx.state.user),
});

/** Posts a body to DebugService as a person would. */
async function post(port: number, body: string, ...args: readonly string[]) {
  const answer = await curl(`http://127.0.0.1:${port}${PATH}`, ...JSON_TYPE, "--data-binary", body, ...args);
  return { ...answer, json: answer.body === "" ? undefined : JSON.parse(answer.body) };
}

function bodyOf(requests: readonly ProcessingRequest[]): string {
  return JSON.stringify({ requests: requests.map((request) => toJson(ProcessingRequestSchema, request)) });
}

describe.skipIf(!hasCurl).each(VERSIONS)("DebugService, asked by curl over HTTP/%s", (version, flag) => {
  test("DebugService reads header values from value and from rawValue", async () => {
    const { port } = await serverForTest(
      compose(
        hello,
        createHeaderModifier(() => undefined),
      ),
      { debug: "on" },
    );
    const control = '{"x-user":"bob"}';
    for (const header of [
      { key: "request-header-modifier", value: control },
      { key: "request-header-modifier", rawValue: Buffer.from(control).toString("base64") },
    ]) {
      const body = JSON.stringify({ requests: [{ requestHeaders: { headers: { headers: [header] } } }] });
      const answer = await post(port, body, flag);
      expect(answer).toMatchObject({ status: 200, httpVersion: version });
      const { headerMutation } = answer.json.responses[0].requestHeaders.response;
      expect(headerMutation.removeHeaders).toEqual(["request-header-modifier"]);
      expect(headerMutation.setHeaders).toContainEqual(
        expect.objectContaining({ header: { key: "x-user", rawValue: Buffer.from("bob").toString("base64") } }),
      );
    }
  });

  test("DebugService reads names in snake_case, as Envoy prints them", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const answer = await post(port, '{"requests":[{"request_headers":{"end_of_stream":true}}]}', flag);
    expect([answer.status, answer.json.responses.length]).toEqual([200, 1]);
  });

  test("DebugService answers an empty list of requests with an empty list of responses", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    expect(await post(port, "{}", flag)).toMatchObject({ status: 200, json: {} });
  });

  test.each([
    ["no JSON", "{nope"],
    ["an empty body", ""],
    ["another shape", '{"requests":7}'],
    ["a null message", '{"requests":[null]}'],
    ["two members of the oneof", '{"requests":[{"requestHeaders":{},"responseHeaders":{}}]}'],
    ["bytes that are not base64", '{"requests":[{"requestBody":{"body":"%%"}}]}'],
  ])("DebugService answers HTTP 400 and invalid_argument to %s", async (_name, body) => {
    const { port } = await serverForTest(hello, { debug: "on" });
    expect(await post(port, body, flag)).toMatchObject({ status: 400, json: { code: "invalid_argument" } });
  });

  test("DebugService names an unknown field", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const answer = await post(port, '{"requests":[{"requestHeeders":{}}]}', flag);
    expect(answer).toMatchObject({ status: 400, json: { code: "invalid_argument" } });
    expect(answer.json.message).toContain("requestHeeders");
  });

  test("DebugService accepts 64 messages and rejects 65", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const chunks = Array.from({ length: 64 }, () => requestBody("x", false));
    const answer = await post(port, bodyOf(chunks), flag);
    expect([answer.status, answer.json.responses.length]).toEqual([200, 64]);
    expect(await post(port, bodyOf([...chunks, requestBody("x")]), flag)).toMatchObject({
      status: 429,
      json: { code: "resource_exhausted", message: "requests: expected at most 64 messages, got 65" },
    });
  });

  test("DebugService rejects a call above 256 KiB", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    // An argument may not be that long.
    const folder = await mkdtemp(join(tmpdir(), "ext-proc-"));
    onTestFinished(() => rm(folder, { recursive: true }));
    const filler = (bytes: number) => `${" ".repeat(bytes - 2)}{}`;
    await writeFile(join(folder, "fits"), filler(256 << 10));
    expect((await post(port, `@${join(folder, "fits")}`, flag)).status).toBe(200);
    // The second is far from complete when it turns out to be too large.
    for (const bytes of [(256 << 10) + 1, 16 << 20]) {
      await writeFile(join(folder, "too-large"), filler(bytes));
      expect(await post(port, `@${join(folder, "too-large")}`, flag)).toMatchObject({
        status: 429,
        json: { code: "resource_exhausted" },
      });
    }
  });

  test("DebugService rejects a compressed body, since a small one can be a bomb", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const answer = await post(port, "{}", flag, "-H", "content-encoding: gzip");
    expect(answer).toMatchObject({ status: 501, json: { code: "unimplemented" } });
  });

  test("DebugService shows what a handler threw, and neither the log nor gRPC shows it", async () => {
    const secret = "s3cret-in-message";
    const started = await serverForTest(
      defineProcessor({
        name: "broken",
        requestHeaders: (_headers, tx) => {
          throw new RangeError(`cannot read ${tx.request.get("x-secret")}`);
        },
      }),
      { debug: "on" },
    );
    const requests = [requestHeaders([["x-secret", secret]])];
    const answer = await post(started.port, bodyOf(requests), flag);
    expect(answer).toMatchObject({
      status: 500,
      json: {
        code: "internal",
        message: `handler_threw: processor "broken", requestHeaders: the handler threw: RangeError: cannot read ${secret}`,
      },
    });
    const { status } = await processAll(started.port, requests);
    expect(status.code).toBe(13);
    expect(decodeURIComponent(status.details)).toBe(
      'handler_threw: processor "broken", requestHeaders: the handler threw',
    );
    expect(started.logText()).not.toContain(secret);
    const faults = started.logLines().filter(({ level }) => level === "error");
    expect(faults).toMatchObject([
      { fault: "handler_threw", origin: "debug", error: "RangeError" },
      { fault: "handler_threw", origin: "envoy", error: "RangeError" },
    ]);
  });

  test("DebugService gives handlers the origin debug, and its calls are counted separately from Envoy's streams", async () => {
    const started = await serverForTest(
      defineProcessor({ name: "origin", requestHeaders: (_headers, tx) => setHeader("x-origin", tx.origin) }),
      { debug: "on" },
    );
    const { json } = await post(started.port, bodyOf([requestHeaders()]), flag);
    const [{ header }] = json.responses[0].requestHeaders.response.headerMutation.setHeaders;
    expect(Buffer.from(header.rawValue, "base64").toString()).toBe("debug");
    expect(await started.metric('ext_proc_streams_total{result="completed",origin="debug"}')).toBe(1);
    expect(await started.metric('ext_proc_streams_total{result="completed",origin="envoy"}')).toBe(0);
  });

  test("DebugService calls handlers one after the other, even asynchronous ones", async () => {
    const { port } = await serverForTest(later, { debug: "on" });
    const { json } = await post(port, bodyOf([requestHeaders([["x-user", "bob"]]), responseHeaders()]), flag);
    const { responses } = fromJson(ProcessResponseSchema, json);
    expect(responses.map(({ response }) => response.case)).toEqual(["requestHeaders", "responseHeaders"]);
    expect(responses.map(headersSet)).toEqual([{}, { "x-user": "bob" }]);
  });

  test("DebugService waits for no answer in observability mode", async () => {
    const { port } = await serverForTest(later, { debug: "on" });
    const requests = [requestHeaders([], false, { observabilityMode: true }), responseHeaders()];
    expect(await post(port, bodyOf(requests), flag)).toMatchObject({ status: 200, json: {} });
  });
});

describe.skipIf(!hasCurl)("curl and grpc-js", () => {
  const guard = defineProcessor({
    name: "guard",
    requestHeaders: (_headers, tx) =>
      tx.request.path === "/admin" ? immediateResponse(403, { json: { error: "forbidden" } }) : undefined,
  });
  const trailers = defineProcessor({
    name: "trailers",
    state: () => ({ user: "" }),
    requestHeaders(_headers, tx) {
      tx.state.user = tx.request.get("x-user") ?? "anonymous";
    },
    responseTrailers: (_trailers, tx) => setHeader("x-user", tx.state.user),
  });
  const TRANSACTIONS: readonly (readonly [string, readonly ProcessingRequest[]])[] = [
    ["headers both ways", [requestHeaders([["x-user", "bob"]]), responseHeaders([[":status", "200"]])]],
    [
      "bodies and trailers",
      [
        requestHeaders([[":path", "/"]]),
        requestBody("one", false),
        requestBody("", true),
        responseHeaders(),
        responseBody("two", false),
        responseTrailers([["a", "b"]]),
      ],
    ],
    [
      "full-duplex bodies",
      [
        fromJson(ProcessingRequestSchema, {
          requestHeaders: {},
          protocolConfig: { requestBodyMode: "FULL_DUPLEX_STREAMED", responseBodyMode: "FULL_DUPLEX_STREAMED" },
        }),
        requestBody("x".repeat(70_000), false),
        requestTrailers(),
      ],
    ],
    ["an immediate response", [requestHeaders([[":path", "/admin"]]), requestBody("never seen")]],
    ["a message without a member", [fromJson(ProcessingRequestSchema, {}), requestHeaders()]],
  ];

  test.each(TRANSACTIONS)("curl and grpc-js get the same answers: %s", async (_name, requests) => {
    const { port } = await serverForTest(compose(hello, guard, trailers), { debug: "on" });
    const { answers } = await processAll(port, requests);
    expect(answers.length).toBeGreaterThan(0);
    for (const [, flag] of VERSIONS) {
      const { json } = await post(port, bodyOf(requests), flag);
      expect(asJson(fromJson(ProcessResponseSchema, json).responses)).toEqual(asJson(answers));
    }
  });

  test("curl and grpc-js get the same status for a phase out of order", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    const requests = [requestHeaders(), requestBody("x", false), requestHeaders()];
    const { status } = await processAll(port, requests);
    expect(status.code).toBe(3);
    const { json } = await post(port, bodyOf(requests));
    expect(json).toEqual({ code: "invalid_argument", message: decodeURIComponent(status.details) });
  });

  test("curl's upgrade from HTTP/1.1 is ignored, and the request is answered over HTTP/1.1", async () => {
    const { port } = await serverForTest(hello, { debug: "on" });
    expect(await post(port, bodyOf([requestHeaders()]), "--http2")).toMatchObject({ status: 200, httpVersion: "1.1" });
  });
});

describe.skipIf(!hasCurl)("--debug", () => {
  test.each<[DebugExposure, number, number]>([
    ["on", 200, 200],
    ["admin", 404, 200],
    ["off", 404, 404],
  ])(
    "with --debug %s the service answers %i on the main listener, %i on the admin listener, and never on the status listener",
    async (debug, main, admin) => {
      const { port, adminPort, statusPort } = await serverForTest(hello, { debug });
      for (const [, flag] of VERSIONS) {
        const statuses = await Promise.all(
          [port, adminPort, statusPort].map(async (target) => {
            const url = `http://127.0.0.1:${target}${PATH}`;
            return (await curl(url, ...JSON_TYPE, "-d", "{}", flag)).status;
          }),
        );
        // The status listener answers no POST at all.
        expect(statuses).toEqual([main, admin, 405]);
      }
    },
  );
});
