import { describe, expectTypeOf, test } from "vitest";
import { defineProcessor, type HttpHeaders, type ProcessingRequest } from "../../src/index.ts";
import {
  httpHeaders,
  requestHeaders,
  type SimulatedEnvoy,
  type SimulatedTransaction,
  simulate,
  simulateRemote,
  type UpstreamRequest,
  type Warning,
} from "../../src/testing.ts";

const processor = defineProcessor({ name: "typed", state: () => ({ n: 0 }) });

describe("simulate", () => {
  test("takes any processor, and gives transactions", async () => {
    const envoy = simulate(processor);
    expectTypeOf(envoy).toEqualTypeOf<SimulatedEnvoy>();
    const transaction = await envoy.get("/");
    expectTypeOf(transaction).toEqualTypeOf<SimulatedTransaction>();
    expectTypeOf(transaction.request).toEqualTypeOf<UpstreamRequest | undefined>();
    expectTypeOf(transaction.response.status).toEqualTypeOf<number | undefined>();
    expectTypeOf(transaction.warnings).toEqualTypeOf<readonly Warning[]>();
    expectTypeOf(transaction.counters.spurious_msgs_received).toEqualTypeOf<number | undefined>();
  });

  test("types the request that an upstream's function gets", () => {
    simulate(processor, {
      upstream(request) {
        expectTypeOf(request).toEqualTypeOf<UpstreamRequest>();
        return { status: 200, json: { path: request.path } };
      },
    });
  });

  test("refuses misspelled options, settings and modes", () => {
    // @ts-expect-error
    simulate(processor, { evnoy: {} });
    // @ts-expect-error
    simulate(processor, { envoy: { procesingMode: {} } });
    // @ts-expect-error
    simulate(processor, { envoy: { processingMode: { requestBodyMode: "BUFFER" } } });
    // @ts-expect-error
    simulate(processor, { envoy: { envoyVersion: "1.37" } });
    // @ts-expect-error
    simulate({ name: "bare" });
  });

  test("simulate rejects malformed requests", () => {
    const envoy = simulate(processor);
    // @ts-expect-error
    void envoy.get("/", { body: 1 });
    // @ts-expect-error
    void envoy.get("/", { headers: { "x-count": 1 } });
    // @ts-expect-error
    void envoy.get("/", { method: "POST" });
    void envoy.send({ method: "POST", path: "/", headers: { a: ["b", Uint8Array.of(1)] }, json: { any: "thing" } });
  });
});

describe("simulateRemote", () => {
  test("is the same over gRPC, without an operator", () => {
    expectTypeOf(simulateRemote("127.0.0.1:9002", { config: { a: 1 } })).toEqualTypeOf<SimulatedEnvoy>();
    // @ts-expect-error
    simulateRemote("127.0.0.1:9002", { operator: {} });
  });
});

describe("message builders", () => {
  test("make the generated messages", () => {
    expectTypeOf(httpHeaders({ a: "b" })).toEqualTypeOf<HttpHeaders>();
    expectTypeOf(requestHeaders({ ":path": ["/x"] }, { endOfStream: true })).toEqualTypeOf<ProcessingRequest>();
    // @ts-expect-error
    requestHeaders({ a: 1 });
  });
});
