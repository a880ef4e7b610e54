import { describe, expect, test } from "vitest";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import {
  immediateResponse,
  overrideMode,
  removeHeader,
  setAuthority,
  setDynamicMetadata,
  setHeader,
} from "../../src/processor/effects.ts";
import { simulate } from "../../src/simulation/simulate.ts";
import { deferred, nextTurn } from "../session/deferred.ts";

const nothing = defineProcessor({ name: "nothing" });

describe("the upstream request", () => {
  test("the upstream request is the request as the processor left it", async () => {
    const edit = defineProcessor({
      name: "edit",
      requestHeaders: () => [setHeader("x-set", "1"), removeHeader("x-old")],
    });
    const { request, warnings } = await simulate(edit).send({
      method: "PUT",
      path: "/items?id=1",
      authority: "shop.test",
      scheme: "https",
      headers: { "X-Many": ["a", "b"], "x-old": "x", "x-bytes": Uint8Array.of(0xe4) },
      body: "ä",
    });
    expect(request).toEqual({
      method: "PUT",
      path: "/items?id=1",
      authority: "shop.test",
      scheme: "https",
      headers: { "x-many": ["a", "b"], "x-set": "1", "x-bytes": "\udce4", "content-length": "2" },
      body: "ä",
      bytes: Uint8Array.of(0xc3, 0xa4),
      json: undefined,
      trailers: {},
      route: "default",
      complete: true,
    });
    expect(warnings).toEqual([]);
  });

  test("the upstream request is undefined if the processor answers itself", async () => {
    const deny = defineProcessor({
      name: "deny",
      requestHeaders: () => immediateResponse(403, { json: { no: true } }),
    });
    const { request, response, details } = await simulate(deny).get("/");
    expect(request).toBeUndefined();
    expect(response).toMatchObject({ status: 403, json: { no: true }, body: '{"no":true}', end: "complete" });
    expect(details).toBe("");
  });

  test("the upstream request has JSON, trailers, and headers with names that objects have", async () => {
    const { request } = await simulate(nothing).post("/", { json: { a: [1] }, headers: { constructor: "x" } });
    expect(request).toMatchObject({
      json: { a: [1] },
      headers: { constructor: "x", "content-type": "application/json" },
    });
    const chunked = await simulate(nothing).post("/", { chunks: ["a", "b"], trailers: { "x-sum": "2" } });
    expect(chunked.request).toMatchObject({ body: "ab", trailers: { "x-sum": "2" } });
    expect(chunked.request?.headers).not.toHaveProperty("content-length");
    const { request: odd } = await simulate(nothing).get("/", { headers: JSON.parse('{"__proto__": "x"}') });
    expect(Object.entries(odd?.headers ?? {})).toEqual([["__proto__", "x"]]);
  });

  test.each(["get", "head", "post", "put", "patch", "delete"] as const)(
    "envoy.%s() sends that method",
    async (method) => {
      const { request } = await simulate(nothing)[method]("/x");
      expect(request).toMatchObject({ method: method.toUpperCase(), path: "/x" });
    },
  );
});

describe("the upstream response", () => {
  test("the upstream response is 200 without a body by default", async () => {
    const { response } = await simulate(nothing).get("/");
    expect(response).toMatchObject({ status: 200, body: "", json: undefined, trailers: {} });
  });

  test("the upstream response comes from the options, or from the request", async () => {
    const envoy = simulate(nothing, { upstream: { status: 201, json: { made: 1 } } });
    expect((await envoy.get("/")).response).toMatchObject({ status: 201, json: { made: 1 } });
    expect((await envoy.get("/", { response: { status: 404 } })).response).toMatchObject({ status: 404, body: "" });
  });

  test("the upstream response may be a function of the upstream request, its body included", async () => {
    const mark = defineProcessor({ name: "mark", requestHeaders: () => setHeader("x-user", "ada") });
    const envoy = simulate(mark, {
      upstream: ({ method, path, headers, body }) => ({ json: { method, path, user: headers["x-user"], body } }),
    });
    const { response } = await envoy.post("/echo", { chunks: ["a", "b", "c"], chunkIntervalMs: 5 });
    expect(response.json).toEqual({ method: "POST", path: "/echo", user: "ada", body: "abc" });
  });

  test("an upstream function that throws fails the test", async () => {
    const broken = () => {
      throw new Error("the upstream of this test is broken");
    };
    await expect(simulate(nothing, { upstream: broken }).get("/")).rejects.toThrow(
      "the upstream of this test is broken",
    );
  });
});

describe("the result of a transaction", () => {
  test("the result of a transaction has counters without zeros, metadata, and its duration", async () => {
    const note = defineProcessor({ name: "note", responseHeaders: () => setDynamicMetadata("demo", { n: 1 }) });
    const { counters, metadata, durationMs } = await simulate(note, {
      envoy: { metadataOptions: { receivingNamespaces: { untyped: ["demo"] } } },
      upstream: { delayMs: 40 },
    }).get("/");
    expect(counters).toEqual({ streams_started: 1, stream_msgs_sent: 2, stream_msgs_received: 2, streams_closed: 1 });
    expect(metadata).toEqual({ demo: { n: 1 } });
    expect(durationMs).toBe(40);
  });

  test("the result of a transaction has a warning for what Envoy drops, and none if a processor is correct", async () => {
    const note = defineProcessor({ name: "note", requestHeaders: () => setDynamicMetadata("demo", { n: 1 }) });
    const { warnings, metadata } = await simulate(note).get("/");
    expect(warnings).toMatchObject([{ code: "dynamic_metadata_dropped" }]);
    expect(metadata).toEqual({});
  });

  test("the result of a transaction has every message in both directions", async () => {
    const { report } = await simulate(nothing).get("/");
    expect(report.messages.map(({ from }) => from)).toEqual(["envoy", "server", "envoy", "server"]);
  });

  test("the result of a transaction has the faults of a processor, whatever their outcome", async () => {
    const thrower = (onFault: "open" | "closed" | "envoy") =>
      defineProcessor({
        name: "thrower",
        onFault,
        requestHeaders() {
          throw new Error("no");
        },
      });
    for (const [policy, status] of [
      ["open", 200],
      ["closed", 500],
      ["envoy", 500],
    ] as const) {
      const { faults, response } = await simulate(thrower(policy)).get("/");
      expect(faults).toMatchObject([{ code: "handler_threw", processor: "thrower" }]);
      expect(response.status).toBe(status);
    }
    const { response } = await simulate(thrower("envoy"), { envoy: { failureModeAllow: true } }).get("/");
    expect(response.status).toBe(200);
  });
});

describe("asynchronous handlers in simulate()", () => {
  test("asynchronous handlers are awaited, however late, on a clock that does not move", async () => {
    const slow = defineProcessor({
      name: "slow",
      async requestHeaders() {
        for (let turn = 0; turn < 20; turn++) await nextTurn();
        return setHeader("x-late", "yes");
      },
    });
    const { request, durationMs } = await simulate(slow, { envoy: { messageTimeoutMs: 5 } }).get("/");
    expect(request?.headers).toEqual({ "x-late": "yes" });
    expect(durationMs).toBe(0);
  });

  test("asynchronous handlers that hang meet their own timeout when patienceMs is over", async () => {
    const hanging = defineProcessor({ name: "hanging", onFault: "closed", requestHeaders: () => deferred().promise });
    const { response, faults, durationMs } = await simulate(hanging, { patienceMs: 1 }).get("/");
    expect(response.status).toBe(500);
    expect(faults).toMatchObject([{ code: "handler_timeout" }]);
    expect(durationMs).toBe(150);
  });

  test("asynchronous handlers of transactions at the same time do not mix", async () => {
    const echo = defineProcessor({
      name: "echo",
      state: () => ({ path: "" }),
      async requestHeaders(_headers, tx) {
        tx.state.path = tx.request.path ?? "";
        await Promise.resolve();
      },
      responseHeaders: async (_headers, tx) => setHeader("x-path", tx.state.path),
    });
    const envoy = simulate(echo);
    const paths = Array.from({ length: 50 }, (_, index) => `/${index}`);
    const seen = await Promise.all(paths.map(async (path) => (await envoy.get(path)).response.headers["x-path"]));
    expect(seen).toEqual(paths);
  });
});

test("tx.grpcMetadata is the metadata that Envoy was given, without properties that every object has", async () => {
  const seen: unknown[] = [];
  const look = defineProcessor({
    name: "look",
    requestHeaders: (_headers, tx) => void seen.push(...["x-a", "constructor", "x-b"].map(tx.grpcMetadata.all)),
  });
  const { faults } = await simulate(look, { envoy: { grpcInitialMetadata: { "x-a": "1" } } }).get("/");
  expect([seen, faults]).toEqual([[["1"], [], []], []]);
});

test("one request may have its own configuration of the route", async () => {
  const told = defineProcessor({
    name: "told",
    requestHeaders: (_headers, tx) => setHeader("x-config", tx.grpcMetadata.get("x-ext-proc-config") ?? "none"),
  });
  const envoy = simulate(told, { config: { a: 1 } });
  const of = async (request = {}) => (await envoy.get("/", request)).request?.headers["x-config"];
  expect([await of(), await of({ config: { a: 2 } }), await of({ config: null })]).toEqual([
    '{"a":1}',
    '{"a":2}',
    "null",
  ]);
});

describe("the life cycle in simulate()", () => {
  test("setup runs once before the first request of simulate(), and close at the end", async () => {
    const calls: string[] = [];
    const note = (call: string) => async () => void calls.push(call);
    const envoy = simulate(defineProcessor({ name: "life", setup: note("setup"), close: note("close") }));
    expect(calls).toEqual([]);
    await Promise.all([envoy.get("/"), envoy.get("/")]);
    await envoy.get("/");
    await envoy.close();
    expect(calls).toEqual(["setup", "close"]);
  });

  test("a setup that rejects leaves the processor unready, and is tried again at the next request", async () => {
    let attempts = 0;
    const flaky = defineProcessor({
      name: "flaky",
      onFault: "closed",
      async setup() {
        if (++attempts < 3) throw new Error("not yet");
      },
    });
    const envoy = simulate(flaky);
    const statuses = [];
    for (let request = 0; request < 4; request++) statuses.push((await envoy.get("/")).response.status);
    expect(statuses).toEqual([503, 503, 200, 200]);
    expect(attempts).toBe(3);
  });

  test("a done handler that throws is among the faults, at once or later", async () => {
    const cause = new Error("no");
    const ending = (name: string, done: () => void) => defineProcessor({ name, requestHeaders: () => undefined, done });
    const throws = ending("throws", () => {
      throw cause;
    });
    const rejects = ending("rejects", (() => Promise.reject(cause)) as () => void);
    const { response, faults } = await simulate(compose(throws, rejects)).get("/");
    expect(response.status).toBe(200);
    expect(faults).toMatchObject([
      { code: "handler_threw", processor: "throws", message: 'processor "throws": its done threw', cause },
      { code: "handler_threw", processor: "rejects", message: 'processor "rejects": its done threw', cause },
    ]);
  });

  test("a setup that hangs leaves the processor unready too", async () => {
    const hanging = defineProcessor({ name: "hanging", setup: () => deferred().promise });
    const { faults, response } = await simulate(hanging, { patienceMs: 1 }).get("/");
    expect(faults).toMatchObject([{ code: "not_ready" }]);
    expect(response.status).toBe(500);
  });
});

describe("the operator options of simulate()", () => {
  const move = defineProcessor({ name: "move", requestHeaders: () => setAuthority("other.test") });
  const allowing = { mutationRules: { allowAllRouting: true } };

  test("the operator of simulate() declares Envoy's real settings by default", async () => {
    const allowed = await simulate(move, { envoy: allowing }).get("/");
    expect(allowed.request?.authority).toBe("other.test");
    expect(allowed.warnings).toEqual([]);
    const refused = await simulate(move).get("/");
    expect(refused.faults).toMatchObject([{ code: "mutation_not_allowed" }]);
  });

  test("simulate() takes a declaration of the operator that differs from Envoy's settings", async () => {
    const { faults } = await simulate(move, { envoy: allowing, operator: { envoy: {} } }).get("/");
    expect(faults).toMatchObject([{ code: "mutation_not_allowed" }]);
    const boasting = await simulate(move, { operator: { envoy: allowing } }).get("/");
    expect(boasting.request?.authority).toBe("example.test");
    expect(boasting.counters).toMatchObject({ rejected_header_mutations: 1 });
    expect(boasting.warnings).not.toEqual([]);
  });

  test("simulate() declares modes, trailers and limits as Envoy has them", async () => {
    const seen: unknown[] = [];
    const stream = defineProcessor({
      name: "stream",
      requestHeaders: () => overrideMode({ requestBody: "STREAMED" }),
      requestTrailers: () => void seen.push("trailers"),
    });
    const envoy = { allowModeOverride: true, processingMode: { requestTrailerMode: "SEND" } } as const;
    const { faults, request } = await simulate(stream, { envoy }).post("/", { body: "x", trailers: { a: "1" } });
    expect([faults, request?.body, seen]).toEqual([[], "x", ["trailers"]]);
  });

  test("the operator tightens fault policies, of all processors or of one, and never loosens them", async () => {
    const boom = (name: string) =>
      defineProcessor({
        name,
        onFault: "open",
        requestHeaders() {
          throw new Error("no");
        },
      });
    const all = await simulate(boom("a"), { operator: { onFault: "closed" } }).get("/");
    expect(all.response.status).toBe(500);
    const processors = { b: { onFault: "closed" } } as const;
    const one = await simulate(compose(boom("b"), nothing), { operator: { processors } }).get("/");
    expect(one.response.status).toBe(500);
  });

  test("the operator may choose shadow mode", async () => {
    const deny = defineProcessor({ name: "deny", requestHeaders: () => immediateResponse(403) });
    const { request, response } = await simulate(deny, { operator: { shadow: true } }).get("/");
    expect([request?.path, response.status]).toEqual(["/", 200]);
  });
});
