import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import { HeaderMapSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  ExternalProcessor,
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { MAX_MESSAGE_HEADERS } from "../../src/wire/message-limits.ts";
import { serverForTest } from "../server/start-server.ts";

type PhaseWithHeaders = "requestHeaders" | "responseHeaders" | "requestTrailers" | "responseTrailers";

function message(phase: PhaseWithHeaders, count: number): ProcessingRequest {
  const headers = Array.from({ length: count }, (_, at) => ({ key: `x-${at}`, value: "v" }));
  const map = create(HeaderMapSchema, { headers });
  const value = phase.endsWith("Trailers") ? { trailers: map } : { headers: map };
  return create(ProcessingRequestSchema, { request: { case: phase, value } as never });
}

/** Every way to the processor that Connect serves: gRPC from Envoy does not come this way. */
const WAYS: readonly [string, (baseUrl: string) => Transport][] = [
  ["Connect with JSON", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false })],
  ["Connect", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  ["gRPC-Web", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ["gRPC", (baseUrl) => createGrpcTransport({ baseUrl })],
];

async function answers(transport: Transport, request: ProcessingRequest): Promise<number | ConnectError> {
  async function* requests() {
    yield request;
  }
  let count = 0;
  try {
    for await (const _answer of createClient(ExternalProcessor, transport).process(requests())) count++;
    return count;
  } catch (cause) {
    return ConnectError.from(cause);
  }
}

describe.each(WAYS)("a message over %s", (_name, transportTo) => {
  test.each(["requestHeaders", "responseHeaders", "requestTrailers", "responseTrailers"] as const)(
    "a message may have 10,000 headers, and one with more is malformed_message: %s",
    async (phase) => {
      const started = await serverForTest(hello);
      const transport = transportTo(`http://127.0.0.1:${started.port}`);
      expect(await answers(transport, message(phase, MAX_MESSAGE_HEADERS))).toBe(1);
      const error = await answers(transport, message(phase, MAX_MESSAGE_HEADERS + 1));
      expect(error).toMatchObject({
        code: Code.InvalidArgument,
        rawMessage: expect.stringMatching(/^malformed_message: .* more than 10000 headers/),
      });
      expect(await started.metric('ext_proc_faults_total{code="malformed_message",origin="envoy"}')).toBe(1);
    },
  );

  test("a message with very many headers is not parsed", async () => {
    const started = await serverForTest(hello);
    const transport = transportTo(`http://127.0.0.1:${started.port}`);
    expect(await answers(transport, message("requestHeaders", 60_000))).toMatchObject({
      code: Code.InvalidArgument,
      rawMessage: expect.stringMatching(
        /^malformed_message: .* more than (?:(?:10000|50000) (?:headers|fields)|the limit of 100000 JSON elements)/,
      ),
    });
    expect(await started.metric('ext_proc_faults_total{code="malformed_message",origin="envoy"}')).toBe(1);
  });
});

describe("a request to the HTTP service", () => {
  const post = async (port: number, count: number) => {
    const headers = Array.from({ length: count }, (_, at) => ({ key: `x-${at}`, value: "v" }));
    const body = JSON.stringify({ requestHeaders: { headers: { headers } } });
    const answer = await fetch(`http://127.0.0.1:${port}/http-service`, { method: "POST", body });
    return [answer.status, await answer.text()];
  };

  test("a request to the HTTP service may have 10,000 headers, and one with more is malformed_message", async () => {
    const started = await serverForTest(hello, { httpService: true });
    expect((await post(started.port, MAX_MESSAGE_HEADERS))[0]).toBe(200);
    expect(await post(started.port, MAX_MESSAGE_HEADERS + 1)).toEqual([
      500,
      "malformed_message: a message has more than 10000 headers\n",
    ]);
    expect(await started.metric('ext_proc_faults_total{code="malformed_message",origin="http_service"}')).toBe(1);
  });

  test("a request to the HTTP service with very many elements is not parsed", async () => {
    const started = await serverForTest(hello, { httpService: true });
    expect(await post(started.port, 60_000)).toEqual([
      400,
      "the request has more than the limit of 100000 JSON elements\n",
    ]);
  });

  test("a request to the HTTP service that is too large is rejected with 413", async () => {
    const { port } = await serverForTest(hello, { httpService: true, maxMessageBytes: 1_024 });
    expect(await post(port, 100)).toEqual([413, "the message is larger than the limit of 1024 bytes\n"]);
  });
});
