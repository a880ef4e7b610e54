import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { simulate } from "../../src/simulation/simulate.ts";
import type { SimulatedEnvoy } from "../../src/simulation/simulated-envoy.ts";
import type { SimulatedTransaction } from "../../src/simulation/simulated-transaction.ts";
import { simulateRemote } from "../../src/testing/simulate-remote.ts";
import { type StartedServer, startServer } from "../server/start-server.ts";
import { deferred, nextTurn } from "../session/deferred.ts";

const processor = defineProcessor({
  name: "all",
  async requestHeaders(_headers, tx) {
    await nextTurn();
    if (tx.request.path === "/deny") return immediateResponse(403, { json: { no: true } });
    if (tx.request.path === "/throw") throw new Error("no");
    if (tx.request.path === "/hang") await deferred().promise;
    return setHeader("x-route", tx.grpcMetadata.get("x-ext-proc-config") ?? "none");
  },
  responseHeaders: () => setHeader("x-signed", "yes"),
  responseTrailers: () => setHeader("x-end", "yes"),
});

let started: StartedServer;
let remote: SimulatedEnvoy;

beforeAll(async () => {
  started = await startServer(processor);
  remote = simulateRemote(`127.0.0.1:${started.port}`);
});
afterAll(async () => {
  await remote.close();
  await started.server.close();
});

/** What does not tell of the way in. */
function comparable({ request, response, counters, warnings, details }: SimulatedTransaction) {
  return { request, response, counters, warnings, details };
}

describe("a server over gRPC", () => {
  const trailers = { response: { chunks: ["a", "b"], trailers: { x: "1" } } };
  const all = {
    processingMode: {
      requestBodyMode: "STREAMED",
      responseBodyMode: "FULL_DUPLEX_STREAMED",
      requestTrailerMode: "SEND",
      responseTrailerMode: "SEND",
    },
  } as const;

  test.each([
    ["headers", {}, { path: "/" }],
    ["an immediate response", {}, { path: "/deny" }],
    ["a failure", {}, { path: "/throw" }],
    ["a failure that Envoy lets pass", { failureModeAllow: true }, { path: "/throw" }],
    ["bodies and trailers", all, { chunks: ["1", "2", "3"], chunkIntervalMs: 5, ...trailers }],
    ["a route's configuration", {}, { config: { tenant: "blue" } }],
    ["observability mode", { observabilityMode: true }, { path: "/deny" }],
  ])(
    "a server over gRPC gives the same result as its processor without a server: %s",
    async (_what, envoy, request) => {
      const there = simulateRemote(`http://127.0.0.1:${started.port}`, { envoy });
      const here = simulate(processor, { envoy });
      expect(comparable(await there.send(request))).toEqual(comparable(await here.send(request)));
      await there.close();
    },
  );

  test("a server over gRPC serves transactions at the same time", async () => {
    const statuses = await Promise.all(
      ["/", "/deny", "/", "/throw"].map(async (path) => (await remote.get(path)).response.status),
    );
    expect(statuses).toEqual([200, 403, 200, 500]);
  });

  test("a server that does not answer within patienceMs gets Envoy's message timeout", async () => {
    const impatient = simulateRemote(`127.0.0.1:${started.port}`, { patienceMs: 1 });
    const { response, counters, durationMs } = await impatient.get("/hang");
    expect(response.status).toBe(504);
    expect(counters).toMatchObject({ message_timeouts: 1 });
    expect(durationMs).toBe(200);
    await impatient.close();
  });

  test("a server that does not listen gives the client a 500, as with Envoy", async () => {
    const gone = await startServer(processor);
    await gone.server.close();
    const nobody = simulateRemote(`127.0.0.1:${gone.port}`);
    const { response, details } = await nobody.get("/");
    expect(response.status).toBe(500);
    expect(details).toMatch(/^ext_proc_error_gRPC_error_14/);
    await nobody.close();
  });

  test("simulateRemote connects to a server again after close", async () => {
    const again = simulateRemote(`127.0.0.1:${started.port}`);
    await again.get("/");
    await again.close();
    expect((await again.get("/")).response.status).toBe(200);
    await again.close();
  });
});
