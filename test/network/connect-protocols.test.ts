import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, createClient, type Transport } from "@connectrpc/connect";
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from "@connectrpc/connect-node";
import { describe, expect, test } from "vitest";
import {
  ExternalProcessor,
  type ProcessingRequest,
  type ProcessingResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  Health,
  HealthCheckRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { defineProcessor } from "../../src/index.ts";
import { serverForTest } from "../server/start-server.ts";
import { headersSet, requestBody, requestHeaders, responseHeaders } from "./messages.ts";

const TRANSPORTS: readonly (readonly [name: string, connect: (baseUrl: string) => Transport])[] = [
  ["gRPC over HTTP/2", (baseUrl) => createGrpcTransport({ baseUrl })],
  ["gRPC-Web over HTTP/2", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "2" })],
  ["Connect over HTTP/2", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2" })],
  [
    "Connect JSON over HTTP/2",
    (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "2", useBinaryFormat: false }),
  ],
];

/** Both directions of a Process call flow at once, which HTTP/1.1 cannot carry. */
const HTTP1_TRANSPORTS: typeof TRANSPORTS = [
  ["gRPC-Web over HTTP/1.1", (baseUrl) => createGrpcWebTransport({ baseUrl, httpVersion: "1.1" })],
  ["Connect over HTTP/1.1", (baseUrl) => createConnectTransport({ baseUrl, httpVersion: "1.1" })],
];

async function* all(messages: readonly ProcessingRequest[]): AsyncGenerator<ProcessingRequest> {
  yield* messages;
}

async function collect(answers: AsyncIterable<ProcessingResponse>): Promise<ProcessingResponse[]> {
  const collected: ProcessingResponse[] = [];
  for await (const answer of answers) collected.push(answer);
  return collected;
}

describe.each(TRANSPORTS)("%s", (_name, connect) => {
  test("the transport carries a Process call", async () => {
    const { port } = await serverForTest(hello);
    const client = createClient(ExternalProcessor, connect(`http://127.0.0.1:${port}`));
    const answers = await collect(client.process(all([requestHeaders(), requestBody("body"), responseHeaders()])));
    expect(answers.map(headersSet)).toEqual([
      { "x-ext-proc-header": "hello-to-asm" },
      {},
      { "x-ext-proc-header": "hello-from-asm" },
    ]);
  });

  test("the transport carries the error of a processor that throws, without the thrown value", async () => {
    const { port } = await serverForTest(
      defineProcessor({
        name: "broken",
        requestHeaders: () => {
          throw new Error("s3cret");
        },
      }),
    );
    const client = createClient(ExternalProcessor, connect(`http://127.0.0.1:${port}`));
    const error = await collect(client.process(all([requestHeaders()]))).catch(ConnectError.from);
    expect(error).toMatchObject({
      code: Code.Internal,
      rawMessage: 'handler_threw: processor "broken", requestHeaders: the handler threw',
    });
  });
});

describe.each(HTTP1_TRANSPORTS)("%s", (_name, connect) => {
  test("the transport rejects a Process call with HTTP 505", async () => {
    const { port } = await serverForTest(hello);
    const client = createClient(ExternalProcessor, connect(`http://127.0.0.1:${port}`));
    await expect(collect(client.process(all([requestHeaders()])))).rejects.toThrow("HTTP 505");
  });
});

describe.each([...TRANSPORTS, ...HTTP1_TRANSPORTS])("%s", (_name, connect) => {
  test("the transport carries health checks", async () => {
    const { port } = await serverForTest(hello);
    const client = createClient(Health, connect(`http://127.0.0.1:${port}`));
    expect(await client.check(create(HealthCheckRequestSchema))).toMatchObject({ status: ServingStatus.SERVING });
    const error = await client.check({ service: "no.such.Service" }).catch(ConnectError.from);
    expect(error).toMatchObject({ code: Code.NotFound });
  });
});
