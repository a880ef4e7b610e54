import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { ExtProcServer } from "../../src/simulator/filter/ext-proc-server.ts";
import type { HttpBodyInit, HttpExchange } from "../../src/simulator/http/http-exchange.ts";
import type { EnvoyVersion, SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import { simulateWith } from "../../src/simulator/simulate-with.ts";
import { serverOf } from "../simulator/servers.ts";
import { bounded, fc } from "./seed.ts";

const versions = fc.constantFrom<EnvoyVersion>("1.36", "1.38", "1.39", "1.40");
const bodyModes = fc.constantFrom("NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", "FULL_DUPLEX_STREAMED" as const);
const headerModes = fc.constantFrom("SEND", "SKIP" as const);

const modes = fc
  .record({ request: bodyModes, response: bodyModes, headers: headerModes, trailers: headerModes })
  .map(({ request, response, headers, trailers }) => ({
    requestHeaderMode: headers,
    requestBodyMode: request,
    responseBodyMode: response,
    // Envoy refuses full duplex without trailers.
    requestTrailerMode: request === "FULL_DUPLEX_STREAMED" ? ("SEND" as const) : trailers,
    responseTrailerMode: response === "FULL_DUPLEX_STREAMED" ? ("SEND" as const) : trailers,
  }));

const message: fc.Arbitrary<HttpBodyInit> = fc.record({
  chunks: fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 4 }),
  chunkIntervalMs: fc.constantFrom(0, 3),
  emptyEnd: fc.boolean(),
  trailers: fc.constantFrom([], [["x-t", "1"]] as const),
});

const exchange: fc.Arbitrary<HttpExchange> = fc.record({
  protocol: fc.constantFrom("http1", "http2" as const),
  request: message,
  response: message,
});

const headerMutation = fc.record({
  setHeaders: fc.array(
    fc.record({
      header: fc.record({
        key: fc.constantFrom("x-a", ":path", ":status", "host", "content-length", "x-envoy-a", "", "bad name"),
        rawValue: fc.constantFrom("1", "/p", "204", "", "\n").map((value) => new TextEncoder().encode(value)),
      }),
      append: fc.boolean(),
    }),
    { maxLength: 3 },
  ),
  removeHeaders: fc.array(fc.constantFrom("x-a", "content-length", ":path", "\n", ""), { maxLength: 2 }),
});
const bytes = fc.uint8Array({ maxLength: 5 });
const mutation = fc.oneof(
  bytes.map((value) => ({ case: "body" as const, value })),
  fc.boolean().map((value) => ({ case: "clearBody" as const, value })),
  fc.record({ body: bytes, endOfStream: fc.boolean() }).map((value) => ({ case: "streamedResponse" as const, value })),
  fc.constant({ case: undefined }),
);
const common = fc.record(
  {
    status: fc.constantFrom(0, 1),
    headerMutation,
    bodyMutation: fc.record({ mutation }),
    clearRouteCache: fc.boolean(),
  },
  { requiredKeys: [] },
);
type Answer = NonNullable<MessageInitShape<typeof ProcessingResponseSchema>["response"]>;
const answer = fc.oneof(
  fc
    .tuple(fc.constantFrom("requestHeaders", "responseHeaders", "requestBody", "responseBody" as const), common)
    .map(([member, response]) => ({ case: member, value: { response } })),
  fc
    .tuple(fc.constantFrom("requestTrailers", "responseTrailers" as const), headerMutation)
    .map(([member, headers]) => ({ case: member, value: { headerMutation: headers } })),
  fc.record({ code: fc.constantFrom(0, 100, 200, 403, 70_000) }).map((status) => ({
    case: "immediateResponse" as const,
    value: { status },
  })),
  fc.record({ endOfStream: fc.boolean(), status: fc.constantFrom("200", "100") }).map(({ endOfStream, status }) => ({
    case: "streamedImmediateResponse" as const,
    value: {
      response: {
        case: "headersResponse" as const,
        value: { endOfStream, headers: { headers: [{ key: ":status", rawValue: new TextEncoder().encode(status) }] } },
      },
    },
  })),
  fc.constant({ case: undefined }),
) as fc.Arbitrary<Answer>;
const response: fc.Arbitrary<ProcessingResponse> = fc
  .record({
    response: answer,
    modeOverride: fc.option(fc.record({ requestBodyMode: fc.nat(6), responseBodyMode: fc.nat(6) }), { nil: undefined }),
    timeout: fc.constantFrom(undefined, undefined, { seconds: 0n, nanos: 500_000_000 }),
  })
  .map(({ response: member, modeOverride, timeout }) =>
    create(ProcessingResponseSchema, {
      response: member,
      ...(modeOverride && { modeOverride }),
      ...(timeout && { overrideMessageTimeout: timeout }),
    }),
  );

/** The server's reaction to each message, in order: some answers, and perhaps an end. */
const script = fc.array(
  fc.record({
    answers: fc.array(response, { maxLength: 3 }),
    delayMs: fc.constantFrom(0, 0, 5, 300),
    end: fc.constantFrom(undefined, undefined, undefined, 0, 13, "reset" as const),
  }),
  { maxLength: 6 },
);

type Steps = typeof script extends fc.Arbitrary<infer T> ? T : never;

/** A server that follows a script, and sends nothing after it. */
function scripted(steps: Steps): ExtProcServer {
  return {
    open(stream) {
      const left = [...steps];
      return {
        message() {
          const step = left.shift();
          if (step === undefined) return;
          stream.after(step.delayMs, () => {
            for (const message of step.answers) stream.message(message);
            if (step.end === "reset") stream.reset();
            else if (step.end !== undefined) stream.end(step.end);
          });
        },
        halfClose() {},
        reset() {},
      };
    },
  };
}

const settings: fc.Arbitrary<SimulatedEnvoySettings> = fc.record({
  envoyVersion: versions,
  processingMode: modes,
  failureModeAllow: fc.boolean(),
  allowModeOverride: fc.boolean(),
  maxMessageTimeoutMs: fc.constantFrom(0, 1000),
  mutationRules: fc.record({ allowAllRouting: fc.boolean(), disallowIsError: fc.boolean() }),
  bufferLimitBytes: fc.constantFrom(16, 1 << 20),
  observabilityMode: fc.boolean(),
  streamIdleTimeoutMs: fc.constantFrom(0, 1000),
  routeTimeoutMs: fc.constantFrom(0, 1000),
});

describe("the simulated Envoy", () => {
  test("the simulated Envoy ends every transaction, whatever a server sends, and counts at least the messages that it received", () => {
    fc.assert(
      fc.property(script, settings, exchange, (steps, filter, http) => {
        const { client, counters, messages, durationMs } = simulateWith(scripted(steps), filter, http);
        expect(["complete", "reset", "stalled"]).toContain(client.end);
        const heard = messages.filter(({ from }) => from === "envoy").length;
        expect(counters.stream_msgs_sent).toBeGreaterThanOrEqual(heard);
        expect(durationMs).toBeLessThan(10_000);
      }),
      bounded(1500),
    );
  });

  test("the simulated Envoy gives the same result again", () => {
    fc.assert(
      fc.property(script, settings, exchange, (steps, filter, http) => {
        expect(simulateWith(scripted(steps), filter, http)).toEqual(simulateWith(scripted(steps), filter, http));
      }),
      bounded(500),
    );
  });

  test("the simulated Envoy lets every byte pass if all answers are neutral, in every mode and however it is cut", () => {
    fc.assert(
      fc.property(versions, modes, exchange, (envoyVersion, processingMode, http) => {
        const { upstream, client, counters } = simulateWith(serverOf(), { envoyVersion, processingMode }, http);
        expect(Array.from(upstream?.body ?? [])).toEqual(joined(http.request));
        expect(Array.from(client.body)).toEqual(joined(http.response));
        expect(upstream?.end).toBe("complete");
        expect(client).toMatchObject({ status: 200, end: "complete" });
        expect(upstream?.trailers.length).toBe(http.request?.trailers?.length ?? 0);
        expect(client.trailers.length).toBe(http.response?.trailers?.length ?? 0);
        expect(counters).toMatchObject({ spurious_msgs_received: 0, streams_failed: 0, message_timeouts: 0 });
      }),
      bounded(1000),
    );
  });
});

function joined(body: HttpBodyInit | undefined): number[] {
  return (body?.chunks ?? []).flatMap((chunk) => (typeof chunk === "string" ? [] : Array.from(chunk)));
}
