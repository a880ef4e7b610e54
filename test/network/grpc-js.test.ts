import { create } from "@bufbuild/protobuf";
import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import {
  ExternalProcessor,
  ProtocolConfigurationSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import {
  Health,
  HealthCheckRequestSchema,
  type HealthCheckResponse,
  HealthListRequestSchema,
  HealthCheckResponse_ServingStatus as ServingStatus,
} from "../../gen/grpc/health/v1/health_pb.js";
import { hello } from "../../src/builtin/hello.ts";
import { appendHeader, compose, defineProcessor, immediateResponse, setHeader } from "../../src/index.ts";
import { serverForTest } from "../server/start-server.ts";
import { grpcJsClient, openProcess, processAll } from "./grpc-js-client.ts";
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

describe("ExternalProcessor, called by grpc-js", () => {
  test("ExternalProcessor answers all six phases of a transaction, each with its own member", async () => {
    const trailers = defineProcessor({
      name: "trailers",
      requestTrailers: () => setHeader("x-request-trailer", "one"),
      responseTrailers: () => appendHeader("x-response-trailer", "two"),
    });
    const { port } = await serverForTest(compose(hello, trailers));
    const { answers, status: end } = await processAll(port, [
      requestHeaders([[":path", "/"]]),
      requestBody("request body", false),
      requestTrailers([["a", "b"]]),
      responseHeaders([[":status", "200"]]),
      responseBody("response body", false),
      responseTrailers([["c", "d"]]),
    ]);
    expect(answers.map(({ response }) => response.case)).toEqual([
      "requestHeaders",
      "requestBody",
      "requestTrailers",
      "responseHeaders",
      "responseBody",
      "responseTrailers",
    ]);
    expect(answers.map(headersSet)).toEqual([
      { "x-ext-proc-header": "hello-to-asm" },
      {},
      { "x-request-trailer": "one" },
      { "x-ext-proc-header": "hello-from-asm" },
      {},
      { "x-response-trailer": "two" },
    ]);
    expect(end.code).toBe(status.OK);
  });

  test("ExternalProcessor answers a message before the next one is sent", async () => {
    const { port } = await serverForTest(hello);
    const call = openProcess(port);
    call.send(requestHeaders());
    expect((await call.next())?.response.case).toBe("requestHeaders");
    call.send(responseHeaders());
    expect((await call.next())?.response.case).toBe("responseHeaders");
    call.end();
    expect(await call.next()).toBeUndefined();
    expect((await call.status).code).toBe(status.OK);
  });

  test("ExternalProcessor returns the bytes of a full-duplex body", async () => {
    const { port } = await serverForTest(hello);
    const body = Uint8Array.from({ length: 150_000 }, (_, index) => index % 251);
    const protocolConfig = create(ProtocolConfigurationSchema, { requestBodyMode: 4 });
    const { answers } = await processAll(port, [requestHeaders([], false, { protocolConfig }), requestBody(body)]);
    const chunks = answers.flatMap(({ response }) => {
      const mutation = response.case === "requestBody" ? response.value.response?.bodyMutation?.mutation : undefined;
      return mutation?.case === "streamedResponse" ? [mutation.value] : [];
    });
    expect(Buffer.concat(chunks.map((chunk) => chunk.body)).equals(body)).toBe(true);
    expect(chunks.map(({ endOfStream }) => endOfStream)).toEqual([false, false, true]);
  });

  test("ExternalProcessor ends a transaction after an immediate response", async () => {
    const { port } = await serverForTest(
      defineProcessor({ name: "guard", requestHeaders: () => immediateResponse(403, { text: "no" }) }),
    );
    const call = openProcess(port);
    call.send(requestHeaders());
    expect(asJson([(await call.next()) as never])).toMatchObject([
      { immediateResponse: { status: { code: "Forbidden" } } },
    ]);
    expect((await call.status).code).toBe(status.OK);
  });

  test("ExternalProcessor keeps the states of 200 simultaneous streams of one connection separate", async () => {
    const { port } = await serverForTest(
      defineProcessor({
        name: "echo",
        state: () => ({ seen: "" }),
        async requestHeaders(_headers, tx) {
          tx.state.seen = tx.request.get("x-id") ?? "";
          // Lets the other streams run in between.
          await new Promise((resolve) => setImmediate(resolve));
        },
        responseHeaders: (_headers, tx) => setHeader("x-id", tx.state.seen),
      }),
    );
    const ids = Array.from({ length: 200 }, (_, index) => `id-${index}`);
    const client = grpcJsClient(ExternalProcessor, port);
    const seen = await Promise.all(
      ids.map(async (id) => {
        const call = client.process();
        call.write(requestHeaders([["x-id", id]]));
        call.write(responseHeaders());
        call.end();
        const answers = await call.toArray();
        return answers.map(headersSet).find((headers) => "x-id" in headers)?.["x-id"];
      }),
    );
    expect(seen).toEqual(ids);
  });
});

describe("Health, called by grpc-js", () => {
  const check = (service: string) => create(HealthCheckRequestSchema, { service });

  test.each(["", ExternalProcessor.typeName])("Health reports %j as serving", async (service) => {
    const { port } = await serverForTest(hello);
    expect(await grpcJsClient(Health, port).unary("check", check(service))).toMatchObject({
      status: ServingStatus.SERVING,
    });
  });

  test("Health does not find an unknown service", async () => {
    const { port } = await serverForTest(hello);
    const answer = grpcJsClient(Health, port).unary("check", check("no.such.Service"));
    await expect(answer).rejects.toMatchObject({
      code: status.NOT_FOUND,
      details: 'unknown service "no.such.Service"',
    });
  });

  test("Health lists its services", async () => {
    const { port } = await serverForTest(hello);
    const answer = await grpcJsClient(Health, port).unary("list", create(HealthListRequestSchema));
    expect(answer).toMatchObject({
      statuses: {
        "": { status: ServingStatus.SERVING },
        [ExternalProcessor.typeName]: { status: ServingStatus.SERVING },
      },
    });
  });

  test("Health sends a watch the status at once, NOT_SERVING when the server drains, and then ends the watch", async () => {
    const { port, server } = await serverForTest(hello);
    const watch = grpcJsClient(Health, port).serverStream("watch", check(""));
    const told: ServingStatus[] = [];
    for await (const answer of watch) {
      told.push((answer as HealthCheckResponse).status);
      void server.drain();
    }
    expect(told).toEqual([ServingStatus.SERVING, ServingStatus.NOT_SERVING]);
  });

  test("Health answers a watch of an unknown service with SERVICE_UNKNOWN, and keeps it open", async () => {
    const { port, server } = await serverForTest(hello);
    const watch = grpcJsClient(Health, port).serverStream("watch", check("no.such.Service"));
    const told: ServingStatus[] = [];
    for await (const answer of watch) {
      told.push((answer as HealthCheckResponse).status);
      void server.drain();
    }
    expect(told).toEqual([ServingStatus.SERVICE_UNKNOWN]);
  });
});
