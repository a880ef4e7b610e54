import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/cli/demo/envoy-bootstrap.ts";
import { defineProcessor, type FaultPolicy, immediateResponse, type Processor, setHeader } from "../../src/index.ts";
import { envoyBinary } from "./envoy-rig.ts";
import { isSince } from "./rows/envoy-release.ts";
import { eventually } from "./rows/eventually.ts";
import { type RunningScenes, type Scene, type SceneInit, startScenes } from "./rows/scene.ts";
import type { SceneConfig } from "./rows/scene-bootstrap.ts";
import { countedBy, type ServedScene, served } from "./rows/served.ts";

/** Refuses every request, 100 ms after its headers. */
function gate(onFault: FaultPolicy): Processor {
  return defineProcessor({
    name: "gate",
    onFault,
    timeoutMs: 3_000,
    async requestHeaders() {
      await delay(100);
      return immediateResponse(401);
    },
  });
}

/** Marks requests, or responses, or both. */
function marker(phases: "requestHeaders" | "responseHeaders" | "both", onFault: FaultPolicy): Processor {
  const request = { requestHeaders: () => setHeader("x-marked", "request") };
  const response = { responseHeaders: () => setHeader("x-marked", "response") };
  return defineProcessor({
    name: "marker",
    onFault,
    ...(phases !== "responseHeaders" && request),
    ...(phases !== "requestHeaders" && response),
  });
}

/** Marks trailers, of the request and of the response. */
const trailerMarker: Processor = defineProcessor({
  name: "trailer-marker",
  onFault: "closed",
  requestTrailers: () => setHeader("x-marked", "request"),
  responseTrailers: () => setHeader("x-marked", "response"),
});

/** Holds the thread for as long as the request says. */
function holder(onFault: FaultPolicy): Processor {
  return defineProcessor({
    name: "holder",
    onFault,
    requestHeaders(_headers, tx) {
      const endMs = performance.now() + Number(tx.request.get("x-hold-ms") ?? 0);
      while (performance.now() < endMs);
    },
  });
}

/** Replaces each piece of a request body. */
const shouter: Processor = defineProcessor({
  name: "shouter",
  timeoutMs: 3_000,
  // All of the body is there when the headers are answered.
  async requestHeaders() {
    await delay(100);
  },
  requestBody: { read: "chunks", chunk: (bytes) => bytes.map((byte) => byte + 1) },
});

/** Reads a whole request body. */
function reader(required: boolean): Processor {
  return defineProcessor({
    name: "reader",
    timeoutMs: 3_000,
    requestBody: { read: "whole", required, handle: () => setHeader("x-read", "yes") },
  });
}

/** The modes of the only route, as `ExtProcPerRoute` overrides them. */
function perRoute(modes: JsonObject): SceneConfig {
  const perFilter = {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExtProcPerRoute",
    overrides: { processing_mode: modes },
  };
  return {
    virtualHosts: ({ upstream }) => [
      {
        name: "all",
        domains: ["*"],
        routes: [
          {
            match: { prefix: "/" },
            route: { cluster: upstream },
            typed_per_filter_config: { "envoy.filters.http.ext_proc": perFilter },
          },
        ],
      },
    ],
  };
}

const modes = (processing_mode: JsonObject): SceneConfig => ({ filter: { processing_mode } });
const DUPLEX = { request_body_mode: "FULL_DUPLEX_STREAMED" };
const WITH_TRAILERS = { method: "POST", body: "x", trailers: { "x-trailer": "sent" } };
const withTrailers: SceneInit["respond"] = (response) => {
  response.writeHead(200, { trailer: "x-trailer" });
  response.write("from upstream");
  response.addTrailers({ "x-trailer": "sent" });
  response.end();
};
const DENY_ALL = {
  name: "envoy.filters.http.rbac",
  typed_config: {
    "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
    rules: { action: "ALLOW", policies: {} },
  },
};

const inits = {
  duplexClosed: { server: served(gate("closed")), ...perRoute(DUPLEX) },
  duplexEnvoy: { server: served(gate("envoy")), ...perRoute(DUPLEX) },
  duplexOpen: { server: served(gate("open")), ...perRoute(DUPLEX) },
  duplexBody: { server: served(reader(true)), ...perRoute(DUPLEX) },
  duplexSilent: { server: served(gate("closed")), ...perRoute({ ...DUPLEX, response_header_mode: "SKIP" }) },
  duplexRight: { server: served(gate("closed")), ...perRoute({ ...DUPLEX, request_trailer_mode: "SEND" }) },
  duplexStalled: {
    server: served(reader(true)),
    manager: { stream_idle_timeout: "0.5s" },
    ...modes({ ...DUPLEX, request_trailer_mode: "SEND" }),
  },
  refusedAhead: { server: served(marker("both", "closed")), filtersBefore: [DENY_ALL] },
  skippedClosed: { server: served(marker("requestHeaders", "closed")), ...modes({ request_header_mode: "SKIP" }) },
  skippedEnvoy: { server: served(marker("both", "envoy")), ...modes({ request_header_mode: "SKIP" }) },
  skippedBoth: {
    server: served(marker("both", "closed")),
    ...modes({ request_header_mode: "SKIP", response_header_mode: "SKIP", request_body_mode: "STREAMED" }),
  },
  responseSkipped: { server: served(marker("both", "envoy")), ...modes({ response_header_mode: "SKIP" }) },
  responseClosed: { server: served(marker("both", "closed")), ...modes({ response_header_mode: "SKIP" }) },
  allSkipped: {
    server: served(marker("both", "closed")),
    ...modes({ request_header_mode: "SKIP", response_header_mode: "SKIP" }),
  },
  trailersSkipped: { server: served(trailerMarker), respond: withTrailers },
  trailersSent: {
    server: served(trailerMarker),
    respond: withTrailers,
    ...modes({ request_trailer_mode: "SEND", response_trailer_mode: "SEND" }),
  },
  held: {
    server: served(holder("envoy"), { envoy: { messageTimeoutMs: 300 } }),
    filter: { message_timeout: "0.3s", failure_mode_allow: true },
  },
  heldClosed: {
    server: served(holder("closed"), { envoy: { messageTimeoutMs: 300 } }),
    filter: { message_timeout: "0.3s", failure_mode_allow: true },
  },
  left: {
    server: served(marker("both", "closed")),
    respond: () => undefined,
  },
  ...(isSince("1.38") && {
    grpcRequired: { server: served(reader(true)), ...modes({ request_body_mode: "GRPC" }) },
    grpcOptional: { server: served(reader(false)), ...modes({ request_body_mode: "GRPC" }) },
    grpcChanged: { server: served(shouter), ...modes({ request_body_mode: "GRPC" }) },
  }),
} as const satisfies Record<string, SceneInit<ServedScene>>;

let running: RunningScenes;

describe.skipIf(envoyBinary === undefined)("handlers that Envoy passes over", () => {
  beforeAll(async () => {
    running = await startScenes(new Map(Object.entries(inits as Record<string, SceneInit>)));
  }, 30_000);
  afterAll(() => running?.stop());

  const scene = (name: keyof typeof inits) => running.scenes.get(name) as Scene<ServedScene>;
  const tells = (name: keyof typeof inits, expected: readonly string[]) =>
    eventually(async () => expect(await countedBy(scene(name))).toEqual([...expected].sort()));
  const warnings = (name: keyof typeof inits) =>
    scene(name)
      .server.logLines()
      .filter(({ level }) => level !== "info");

  test("an answer that Envoy does not wait for is a 500 under the policy closed", async () => {
    expect((await scene("duplexClosed").send(WITH_TRAILERS)).status).toBe(500);
    await tells("duplexClosed", ["answer_not_awaited gate immediate_response: 1", "fault: 1"]);
    expect(warnings("duplexClosed").at(-1)).toMatchObject({
      fault: "answer_not_awaited",
      msg: expect.stringContaining("set its trailer mode to SEND"),
    });
  });

  test("an answer that Envoy does not wait for is a gRPC error under the policy envoy", async () => {
    expect((await scene("duplexEnvoy").send(WITH_TRAILERS)).status).toBe(500);
    await tells("duplexEnvoy", ["answer_not_awaited gate grpc_error: 1", "fault: 1"]);
  });

  test("an answer that Envoy does not wait for lets the response pass under the policy open", async () => {
    const { status, body } = await scene("duplexOpen").send(WITH_TRAILERS);
    expect([status, body]).toEqual([200, "from upstream"]);
    await tells("duplexOpen", ["answer_not_awaited gate passed: 1", "fault: 1"]);
  });

  test("a body handler whose answer Envoy does not wait for is a fault", async () => {
    expect((await scene("duplexBody").send(WITH_TRAILERS)).status).toBe(500);
    await tells("duplexBody", ["answer_not_awaited reader grpc_error: 1", "fault: 1"]);
  });

  test("a gate that is passed, and sees nothing of the response, leaves the transaction unanswered", async () => {
    expect((await scene("duplexSilent").send(WITH_TRAILERS)).status).toBe(200);
    await tells("duplexSilent", ["unanswered: 1"]);
    expect(scene("duplexSilent").server.logLines().at(-1)).toMatchObject({
      result: "unanswered",
      processor: "gate",
      phase: "requestHeaders",
      msg: expect.stringContaining("set its trailer mode to SEND"),
    });
  });

  test("a gate whose trailers are sent is waited for, and nothing is told", async () => {
    expect((await scene("duplexRight").send(WITH_TRAILERS)).status).toBe(401);
    await tells("duplexRight", ["immediate_response: 1"]);
    expect(warnings("duplexRight")).toEqual([]);
  });

  test("a timeout of Envoy itself while a body is held is not an answer that Envoy did not wait for", async () => {
    const request = scene("duplexStalled").open({ method: "POST" });
    request.write("a piece");
    expect((await request.outcome).status).toBe(408);
    await tells("duplexStalled", ["unanswered: 1"]);
  });

  test("a reply of a filter in front passes no handler over", async () => {
    expect((await scene("refusedAhead").send()).status).toBe(403);
    await tells("refusedAhead", isSince("1.38") ? ["completed: 1"] : []);
    expect(warnings("refusedAhead")).toEqual([]);
  });

  test("request headers that are skipped are a 500 under the policy closed", async () => {
    expect((await scene("skippedClosed").send()).status).toBe(500);
    await tells("skippedClosed", ["fault: 1", "phase_not_sent marker immediate_response: 1"]);
    expect(warnings("skippedClosed").at(-1)).toMatchObject({
      fault: "phase_not_sent",
      msg: expect.stringContaining("request_header_mode: SEND"),
    });
  });

  test("request headers that are skipped are counted, and told once, under the policy envoy", async () => {
    for (const count of [1, 2]) {
      const { status, headers } = await scene("skippedEnvoy").send();
      expect([status, headers["x-marked"]]).toEqual([200, "response"]);
      await tells("skippedEnvoy", [`completed: ${count}`, `phase_not_sent: ${count}`]);
    }
    expect(warnings("skippedEnvoy")).toMatchObject([
      { reason: "phase_not_sent", processor: "marker", phase: "requestHeaders" },
    ]);
  });

  test("a body that comes first shows that its headers were skipped", async () => {
    expect((await scene("skippedBoth").send({ method: "POST", body: "abc" })).status).toBe(500);
    await tells("skippedBoth", ["fault: 1", "phase_not_sent marker immediate_response: 1"]);
  });

  test("response headers that are skipped are counted once Envoy has ended the stream", async () => {
    for (const count of [1, 2]) {
      const { status, headers } = await scene("responseSkipped").send();
      expect([status, headers["x-marked"]]).toEqual([200, undefined]);
      await tells("responseSkipped", [`completed: ${count}`, ...(isSince("1.38") ? [`phase_not_sent: ${count}`] : [])]);
    }
    expect(warnings("responseSkipped")).toHaveLength(isSince("1.38") ? 1 : 0);
  });

  test("response headers that are skipped are a fault under the policy closed, which comes too late", async () => {
    expect((await scene("responseClosed").send()).status).toBe(200);
    await tells(
      "responseClosed",
      isSince("1.38") ? ["fault: 1", "phase_not_sent marker too_late: 1"] : ["completed: 1"],
    );
  });

  test("trailers that are skipped leave no trace: their handlers do not run, and nothing is counted", async () => {
    for (const [name, marked] of [["trailersSkipped", false] as const, ["trailersSent", true] as const]) {
      const { status, trailers } = await scene(name).send({ ...WITH_TRAILERS, headers: { te: "trailers" } });
      const received = { "x-trailer": "sent" };
      expect([status, trailers]).toEqual([200, marked ? { ...received, "x-marked": "response" } : received]);
      expect(scene(name).upstream.at(-1)?.trailers).toEqual(marked ? { ...received, "x-marked": "request" } : received);
      await tells(name, ["completed: 1"]);
      expect(warnings(name)).toEqual([]);
    }
  });

  test("a filter that skips everything opens no stream, so nothing is counted", async () => {
    expect((await scene("allSkipped").send({ method: "POST", body: "abc" })).status).toBe(200);
    await tells("allSkipped", []);
  });

  test("a handler that holds the thread is told of, and answers that Envoy did not wait for are counted", async () => {
    const { send, server, counters } = scene("held");
    const hold = { headers: { "x-hold-ms": "1200" } };
    const outcomes = await Promise.all([send(hold), send(), send(), send()]);
    expect(outcomes.map(({ status }) => status)).toEqual([200, 200, 200, 200]);
    const late = async () => (await countedBy(scene("held"))).find((line) => line.startsWith("answer_too_late"));
    await eventually(async () => expect(await late()).toBe(`answer_too_late: ${(await counters()).message_timeouts}`));
    await send(hold);
    await eventually(() => {
      const holds = server.logLines().filter(({ heldMs }) => heldMs !== undefined);
      expect(holds).toMatchObject([{ level: "info" }, { level: "warn", processor: "holder", phase: "requestHeaders" }]);
    });
    expect(warnings("held")[0]).toMatchObject({ reason: "answer_too_late", processor: "holder" });
  });

  test("an answer that is too late is a fault under the policy closed", async () => {
    expect((await scene("heldClosed").send({ headers: { "x-hold-ms": "1200" } })).status).toBe(200);
    await tells("heldClosed", ["answer_too_late holder too_late: 1", "fault: 1"]);
  });

  test("a client that leaves before the response passes no handler over", async () => {
    const request = scene("left").open();
    await eventually(() => expect(scene("left").upstream).toHaveLength(1));
    request.abort();
    await tells("left", ["completed: 1"]);
    expect(warnings("left")).toEqual([]);
  });

  test.skipIf(!isSince("1.38"))("a body that is not gRPC is not sent in GRPC mode: fault or count", async () => {
    const send = async (name: "grpcRequired" | "grpcOptional") => {
      const request = scene(name as never).open({ method: "POST" });
      await delay(50);
      request.write("a body");
      request.end();
      return (await request.outcome).status;
    };
    expect(await send("grpcRequired")).toBe(500);
    await tells("grpcRequired" as never, ["body_required_unseen reader grpc_error: 1", "fault: 1"]);
    expect(await send("grpcOptional")).toBe(200);
    await tells("grpcOptional" as never, ["body_not_sent: 1", "completed: 1"]);
  });

  test.skipIf(!isSince("1.38"))(
    "a body that is there before its headers are answered passes in GRPC mode",
    async () => {
      const { status } = await scene("grpcOptional" as never).send({ method: "POST", body: "all of it" });
      expect([status, scene("grpcOptional" as never).upstream.at(-1)?.body]).toEqual([200, "all of it"]);
    },
  );

  test.skipIf(!isSince("1.38"))(
    "a gRPC body in GRPC mode is sent if it is complete, and a streamed_response does not change it",
    async () => {
      const { upstream, open, counters, server } = scene("grpcChanged" as never);
      const request = open({ method: "POST", headers: { "content-type": "application/grpc", te: "trailers" } });
      request.write("a gRPC body");
      request.end();
      await request.outcome;
      expect(upstream.at(-1)?.body).toBe("a gRPC body");
      expect(await server.metric('ext_proc_messages_total{phase="requestBody",origin="envoy"}')).toBe(1);
      expect((await counters()).spurious_msgs_received ?? 0).toBe(0);
    },
  );
});
