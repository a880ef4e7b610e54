import { describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { runRules } from "../../src/processor/run-rules.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import { driveTransaction } from "../../src/simulation/drive-transaction.ts";
import { ProcessorServer } from "../../src/simulation/processor-server.ts";
import type { EnvoyVersion, SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { bounded, fc } from "./seed.ts";

const READS = ["none", "inspect", "whole", "chunks"] as const;
const bodyMode = fc.constantFrom("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED" as const);
const body = fc.record({
  chunks: fc.array(fc.constantFrom("", "a", "piece of a body"), { maxLength: 3 }),
  chunkIntervalMs: fc.constantFrom(0, 3),
  trailers: fc.constantFrom({}, { "x-trailer": "1" }),
});

const setup = fc.record({
  version: fc.constantFrom<EnvoyVersion>("1.36", "1.38", "1.39", "1.40"),
  requestMode: bodyMode,
  responseMode: bodyMode,
  trailers: fc.constantFrom("SEND", "SKIP" as const),
  overrides: fc.boolean(),
  isLate: fc.boolean(),
  refuses: fc.constantFrom(false, false, false, true),
  readsRequest: fc.constantFrom(...READS),
  readsResponse: fc.constantFrom(...READS),
  request: body,
  response: body,
  startsAfter: fc.constantFrom("request_end", "request_headers" as const),
  protocol: fc.constantFrom("http1", "http2" as const),
  /** Envoy answers itself: the timeout of its route is over before the upstream responds. */
  timesOut: fc.constantFrom(false, false, false, true),
});
type Setup = typeof setup extends fc.Arbitrary<infer T> ? T : never;

function bodyHandler(read: (typeof READS)[number], isLate: boolean) {
  switch (read) {
    case "none":
      return undefined;
    case "inspect":
      return { read };
    case "whole":
      return { read, handle: () => setHeader("x-read", "whole") };
    default:
      return { read, chunk: () => (isLate ? Promise.resolve(undefined) : undefined) };
  }
}

function processorOf({ isLate, refuses, readsRequest, readsResponse }: Setup) {
  const soon = <T>(value: T) => (isLate ? Promise.resolve(value) : value);
  const [requestBody, responseBody] = [bodyHandler(readsRequest, isLate), bodyHandler(readsResponse, isLate)];
  return defineProcessor({
    name: "p",
    onFault: "closed",
    requestHeaders: () => soon(refuses ? immediateResponse(403) : setHeader("x-a", "1")),
    responseHeaders: () => soon(setHeader("x-b", "1")),
    ...(requestBody && { requestBody }),
    ...(responseBody && { responseBody }),
  } as Parameters<typeof defineProcessor>[0]);
}

function settingsOf({
  version,
  requestMode,
  responseMode,
  trailers,
  overrides,
  timesOut,
}: Setup): SimulatedEnvoySettings {
  // Envoy refuses full duplex without trailers.
  const trailersOf = (mode: string) => (mode === "FULL_DUPLEX_STREAMED" ? "SEND" : trailers);
  return {
    envoyVersion: version,
    allowModeOverride: overrides,
    ...(timesOut && { routeTimeoutMs: 20 }),
    processingMode: {
      requestBodyMode: requestMode,
      responseBodyMode: responseMode,
      requestTrailerMode: trailersOf(requestMode),
      responseTrailerMode: trailersOf(responseMode),
    },
  };
}

describe("an Envoy that sends every phase and waits for every answer", () => {
  test("no handler is passed over, in any mode, with overrides or without, whichever side answers the client", async () => {
    await fc.assert(
      fc.asyncProperty(setup, async (init) => {
        const counted: string[] = [];
        const settings = settingsOf(init);
        const processor = processorOf(init);
        const rules = runRules(processor, {
          envoy: declareEnvoy({ allowModeOverride: init.overrides, bufferLimitBytes: 1 << 20 }),
        });
        const server = new ProcessorServer(processor, {
          rules,
          setup: { unready: undefined },
          observer: {
            message: () => undefined,
            ended: () => undefined,
            unenforced: (reason) => counted.push(reason),
            fault: ({ code }) => counted.push(code),
          },
        });
        const upstream = { ...init.response, headers: { date: "today" }, startsAfter: init.startsAfter };
        const response = init.timesOut ? { ...upstream, delayMs: 60 } : upstream;
        const { chunks, chunkIntervalMs, trailers } = init.request;
        await driveTransaction(server, {
          settings,
          exchange: {
            protocol: init.protocol,
            request: { chunks, chunkIntervalMs, trailers: Object.entries(trailers) },
          },
          upstream: response,
          patienceMs: 1_000,
        });
        const passed = /^(?:phase_not_sent|answer_not_awaited|answer_too_late|override_ignored)$/;
        expect(counted.filter((code) => passed.test(code))).toEqual([]);
      }),
      bounded(1_000),
    );
  });
});
