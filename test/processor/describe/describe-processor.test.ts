import { describe, expect, test } from "vitest";
import { z } from "zod";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { hello } from "../../../src/builtin/hello.ts";
import { appendChunk, compose, defineProcessor, type Processor } from "../../../src/index.ts";
import { describeProcessor, type ModeField } from "../../../src/processor/describe/describe-processor.ts";
import { type OperatorOptions, runRules } from "../../../src/processor/run-rules.ts";
import { declareEnvoy } from "../../../src/protocol/envoy-declaration.ts";
import { simulate } from "../../../src/simulation/simulate.ts";
import { UPPER, type UpperKind, upperProcessor } from "../../session/body/upper.ts";

const described = (processor: Processor, options: OperatorOptions = {}) =>
  describeProcessor(runRules(processor, options));

function modesOf(processor: Processor, options: OperatorOptions = {}): Record<ModeField, string> {
  const entries = described(processor, options).processingMode.map(({ field, mode }) => [field, mode]);
  return Object.fromEntries(entries) as Record<ModeField, string>;
}

function settingsOf(processor: Processor): Record<string, unknown> {
  return Object.fromEntries(described(processor).filterSettings.map(({ setting, value }) => [setting, value]));
}

const one = (name: string, handlers: Omit<Parameters<typeof defineProcessor>[0], "name">) =>
  defineProcessor({ name, ...handlers });

describe("the processing mode", () => {
  test("the processing mode sends no message that no handler needs", () => {
    expect(modesOf(hello)).toEqual({
      request_header_mode: "SEND",
      response_header_mode: "SEND",
      request_body_mode: "NONE",
      response_body_mode: "NONE",
      request_trailer_mode: "SKIP",
      response_trailer_mode: "SKIP",
    });
    expect(modesOf(one("p", {}))).toMatchObject({ request_header_mode: "SKIP", response_header_mode: "SKIP" });
  });

  test.each([
    ["requestTrailers", "SKIP"],
    ["responseHeaders", "SEND"],
    ["responseTrailers", "SEND"],
  ] as const)("the processing mode sends the headers that a %s handler can read in tx", (phase, responseHeaders) => {
    const handler = { [phase]: () => undefined };
    expect(modesOf(one("p", handler))).toMatchObject({
      request_header_mode: "SEND",
      response_header_mode: responseHeaders,
    });
    expect(described(one("p", handler)).processingMode[0]?.why).toEqual([`p.${phase}: it can read tx.request`]);
    expect(modesOf(one("p", { ...handler, readsRequest: true })).request_header_mode).toBe("SEND");
    expect(modesOf(one("p", { ...handler, readsRequest: false })).request_header_mode).toBe("SKIP");
  });

  test("the processing mode sends request headers if one of several processors may read them", () => {
    const careless = one("a", { responseHeaders: () => undefined });
    const careful = one("b", { responseHeaders: () => undefined, readsRequest: false });
    expect(described(compose(careful, careless)).processingMode[0]).toMatchObject({
      mode: "SEND",
      why: ["a.responseHeaders: it can read tx.request"],
    });
  });

  test.each([
    ["whole", {}, "BUFFERED"],
    ["json", {}, "BUFFERED"],
    ["text", { maxBytes: 1 << 20 }, "BUFFERED"],
    ["text", { maxBytes: 2 << 20 }, "FULL_DUPLEX_STREAMED"],
    ["text", { overLimit: "pass" }, "FULL_DUPLEX_STREAMED"],
  ] as const)("the processing mode for a handler that reads %s with %o is %s", (read, options, mode) => {
    const processor = one("p", { requestBody: { read, ...options, handle: () => undefined } });
    expect(modesOf(processor)).toMatchObject({
      request_header_mode: "SEND",
      response_header_mode: "SKIP",
      request_body_mode: mode,
      response_body_mode: "NONE",
      request_trailer_mode: mode === "BUFFERED" ? "SKIP" : "SEND",
    });
  });

  test("the processing mode depends on what Envoy is declared to buffer", () => {
    const processor = one("p", { responseBody: { read: "text", maxBytes: 2 << 20, handle: () => undefined } });
    const envoy = { bufferLimitBytes: 4 << 20 };
    expect(modesOf(processor, { envoy })).toMatchObject({ response_body_mode: "BUFFERED" });
  });

  test("the processing mode streams to handlers of pieces, in full duplex if one may add a tail", () => {
    const chunk = () => undefined;
    expect(modesOf(one("p", { responseBody: { read: "chunks", chunk } })).response_body_mode).toBe("STREAMED");
    expect(modesOf(one("p", { responseBody: { read: "inspect", chunk } })).response_body_mode).toBe("STREAMED");
    const tailed = one("p", { responseBody: { read: "chunks", chunk, end: () => appendChunk("!") } });
    expect(modesOf(tailed)).toMatchObject({
      request_header_mode: "SEND",
      response_body_mode: "FULL_DUPLEX_STREAMED",
      response_trailer_mode: "SEND",
    });
  });

  test("the processing mode of composed processors serves all of them, and names each", () => {
    const chunk = () => undefined;
    const masker = one("masker", { responseBody: { read: "chunks", chunk } });
    const signer = one("signer", { responseBody: { read: "whole", handle: () => undefined } });
    const { name, processingMode, conflicts } = described(compose(masker, signer));
    expect(name).toBe("masker+signer");
    expect(conflicts).toEqual([]);
    const need = processingMode.find(({ field }) => field === "response_body_mode");
    expect(need).toMatchObject({ mode: "BUFFERED", why: ["signer.responseBody (whole) waits for the whole body"] });
  });

  const KINDS = Object.keys(UPPER) as UpperKind[];
  const pairs = KINDS.flatMap((first) => KINDS.map((second) => [first, second] as const));

  test.each(pairs)("the processing mode for %s and %s lets both run", async (first, second) => {
    const processor = compose(upperProcessor(first, "a"), upperProcessor(second, "b"));
    const modes = modesOf(processor);
    const processingMode = {
      requestBodyMode: modes.request_body_mode,
      responseBodyMode: modes.response_body_mode,
      requestTrailerMode: modes.request_trailer_mode,
      responseTrailerMode: modes.response_trailer_mode,
    } as never;
    const { request, response, faults, warnings } = await simulate(processor, { envoy: { processingMode } }).send({
      method: "POST",
      chunks: ["ab", "c"],
      chunkIntervalMs: 5,
      trailers: { "x-t": "1" },
      response: { chunks: ["de", "f"], trailers: { "x-t": "2" } },
    });
    expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
    expect([request?.body, response.body]).toEqual(["ABC", "DEF"]);
  });
});

describe("handlers that cannot share a mode", () => {
  test("two handlers that cannot share a mode are named", () => {
    const grpc = one("eliza", { grpc: { service: Health, methods: { check: { request: () => undefined } } } });
    const whole = one("signer", { requestBody: { read: "whole", handle: () => undefined } });
    expect(described(compose(grpc, whole)).conflicts).toEqual([
      {
        direction: "request",
        processors: ["eliza", "signer"],
        why: expect.stringContaining("handler_unsupported_in_mode"),
      },
    ]);
  });
});

describe("settings of Envoy's filter", () => {
  test("settings of Envoy's filter that equal its defaults are not listed", () => {
    expect(settingsOf(hello)).toEqual({});
  });

  test("settings of Envoy's filter follow from timeouts, policies, sizes, conditions and configuration", () => {
    const processor = one("p", {
      timeoutMs: 1000,
      onFault: "closed",
      config: z.unknown(),
      requestBody: { read: "json", maxBytes: 100_000, when: () => true, handle: () => undefined },
    });
    expect(settingsOf(processor)).toEqual({
      message_timeout: "1.05s",
      allow_mode_override: true,
      per_connection_buffer_limit_bytes: 100_000,
      disable_immediate_response: false,
      grpc_initial_metadata: "x-ext-proc-config",
    });
  });
});

describe("a declared allowModeOverride", () => {
  const envoy = { allowModeOverride: true };
  const settings = (processor: Processor, options: OperatorOptions) =>
    described(processor, options).filterSettings.filter(({ setting }) => setting === "allow_mode_override");

  test("a declared allowModeOverride is printed as a setting that Envoy must have", () => {
    const processor = one("p", { requestHeaders: () => undefined });
    expect(settings(processor, { envoy })).toMatchObject([{ value: true, required: true }]);
    expect(settings(processor, {})).toEqual([]);
  });

  test("a declared allowModeOverride is never printed together with FULL_DUPLEX_STREAMED, in which Envoy ignores overrides", () => {
    const large = { read: "text", maxBytes: 8 << 20, handle: () => undefined, when: () => true } as const;
    for (const processor of [
      one("p", { requestBody: large }),
      one("p", { responseBody: large }),
      one("p", { responseBody: { read: "chunks", chunk: () => undefined, end: () => appendChunk("!") } }),
    ]) {
      const declared = described(processor, { envoy });
      expect(declared.processingMode.map(({ mode }) => mode)).not.toContain("FULL_DUPLEX_STREAMED");
      expect(settings(processor, { envoy })).toMatchObject([{ value: true }]);
      expect(described(processor).processingMode.map(({ mode }) => mode)).toContain("FULL_DUPLEX_STREAMED");
      expect(settings(processor, {})).toEqual([]);
    }
  });
});

describe("limits of enforcement", () => {
  test("a description names bodies that need not be seen, and faults that come too late", () => {
    const chunks = one("p", { onFault: "closed", responseBody: { read: "chunks", chunk: () => undefined } });
    expect(described(chunks).unenforceable).toEqual([
      expect.stringContaining("p.responseBody (chunks): without required"),
      expect.stringContaining("p.responseBody: its faults come after the response headers were sent"),
    ]);
    const required = one("p", { requestBody: { read: "json", required: true, handle: () => undefined } });
    expect(described(required).unenforceable).toEqual([]);
    const envoy = { disableImmediateResponse: true };
    expect(described(one("p", { onFault: "closed" }), { envoy }).unenforceable).toHaveLength(1);
  });
});

test("a description is plain data", () => {
  const processor = compose(hello, upperProcessor("stream", "b"));
  const description = described(processor, { onFault: "closed" });
  expect(structuredClone(description)).toEqual(description);
  expect(description.parts).toMatchObject([
    { name: "hello", onFault: "closed", isTightened: true, timeoutMs: 150, bodies: [] },
    { name: "b", phases: ["requestBody", "responseBody"], bodies: [{ phase: "requestBody", read: "stream" }, {}] },
  ]);
});

describe("tunnels in the description of a body mode", () => {
  const where = (processor: Processor, init: Parameters<typeof declareEnvoy>[0] = {}) => {
    const { processingMode } = describeProcessor(runRules(processor, { envoy: declareEnvoy(init) }));
    const alternatives = processingMode.flatMap((need) => need.alternatives);
    return alternatives.filter(({ where }) => where.includes("tunnels")).map(({ mode, where }) => [mode, where]);
  };
  const whole = defineProcessor({ name: "p", requestBody: { read: "whole", handle: () => undefined } });
  const chunks = defineProcessor({ name: "p", requestBody: { read: "chunks", chunk: () => undefined } });

  test("a description names NONE for the routes of tunnels, next to BUFFERED and the streaming modes", () => {
    expect(where(whole)).toEqual([["NONE", expect.stringContaining("in BUFFERED Envoy does not open them")]]);
    expect(where(chunks)).toEqual([["NONE", expect.stringContaining("Envoy is 1.39")]]);
  });

  test("a description does not mention tunnels if overrides are declared, or if no handler has a body", () => {
    expect(where(whole, { allowModeOverride: true })).toEqual([]);
    expect(where(defineProcessor({ name: "p", requestHeaders: () => undefined }))).toEqual([]);
  });
});
