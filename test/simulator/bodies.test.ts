import { describe, expect, test } from "vitest";
import type { BodySendMode } from "../../src/protocol/envoy-settings.ts";
import type { HttpExchange } from "../../src/simulator/http/http-exchange.ts";
import type { SimulatedEnvoySettings } from "../../src/simulator/settings/simulated-envoy-settings.ts";
import {
  bodyAnswer,
  bytes,
  conversation,
  headerOf,
  headersAnswer,
  modeOverride,
  simulate,
  text,
  warningCodes,
} from "./servers.ts";

const requestMode = (requestBodyMode: BodySendMode, more: SimulatedEnvoySettings = {}): SimulatedEnvoySettings => ({
  processingMode: {
    requestBodyMode,
    requestTrailerMode: requestBodyMode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
    responseHeaderMode: "SKIP",
  },
  ...more,
});
const spaced: HttpExchange = { request: { chunks: ["one ", "two"], chunkIntervalMs: 5 } };
const atOnce: HttpExchange = { request: { chunks: ["one ", "two"] } };
const trailers: HttpExchange = { request: { ...spaced.request, trailers: [["x-t", "1"]] } };
const streamed = (body: string, endOfStream: boolean) => {
  const mutation = { case: "streamedResponse" as const, value: { body: bytes(body), endOfStream } };
  return { response: { case: "requestBody" as const, value: { response: { bodyMutation: { mutation } } } } };
};

describe("body messages of Envoy", () => {
  test.each<[BodySendMode, HttpExchange, string]>([
    ["NONE", spaced, "requestHeaders <"],
    ["BUFFERED", spaced, "requestHeaders < requestBody! <"],
    ["BUFFERED_PARTIAL", spaced, "requestHeaders < requestBody! <"],
    ["STREAMED", spaced, "requestHeaders < requestBody < requestBody requestBody! < <"],
    ["STREAMED", atOnce, "requestHeaders < requestBody! <"],
    ["STREAMED", trailers, "requestHeaders < requestBody < requestBody <"],
    ["BUFFERED", trailers, "requestHeaders < requestBody <"],
    ["FULL_DUPLEX_STREAMED", atOnce, "requestHeaders requestBody requestBody! < < <"],
    ["FULL_DUPLEX_STREAMED", trailers, "requestHeaders < requestBody < requestBody requestTrailers < <"],
  ])("the body messages in %s are those of Envoy", (mode, exchange, expected) => {
    const outcome = simulate({}, requestMode(mode), exchange);
    expect(conversation(outcome)).toBe(expected);
    expect(text(outcome.upstream?.body)).toBe("one two");
  });

  test("a body over HTTP/2 is one message for each frame, with the end on the last one", () => {
    const exchange: HttpExchange = { protocol: "http2", ...spaced };
    expect(conversation(simulate({}, requestMode("STREAMED"), exchange))).toBe(
      "requestHeaders < requestBody < requestBody! <",
    );
  });

  test.each([
    ["1.39", "requestHeaders < requestBody < requestBody! <"],
    ["1.40", "requestHeaders < requestBody! <"],
  ] as const)("a body has empty chunks before Envoy 1.40 (%s)", (envoyVersion, expected) => {
    const exchange: HttpExchange = { protocol: "http2", request: { chunks: ["", "x"], chunkIntervalMs: 5 } };
    expect(conversation(simulate({}, requestMode("STREAMED", { envoyVersion }), exchange))).toBe(expected);
  });

  test("a body comes before the answer to headers if Envoy is configured not to wait", () => {
    const settings = requestMode("STREAMED", { sendBodyWithoutWaitingForHeaderResponse: true });
    expect(conversation(simulate({}, settings, atOnce))).toBe("requestHeaders requestBody requestBody! < < <");
  });

  test("a body ends at the buffer limit in BUFFERED_PARTIAL, and the rest passes", () => {
    const exchange: HttpExchange = { request: { chunks: ["12345", "67890"], chunkIntervalMs: 5 } };
    const outcome = simulate(
      { requestBody: [bodyAnswer("requestBody", "<>")] },
      requestMode("BUFFERED_PARTIAL", { bufferLimitBytes: 4 }),
      exchange,
    );
    expect(conversation(outcome)).toBe("requestHeaders < requestBody <");
    expect(text(outcome.upstream?.body)).toBe("<>67890");
  });

  test("a body above the limit in BUFFERED is a 413", () => {
    const outcome = simulate({}, requestMode("BUFFERED", { bufferLimitBytes: 4 }), spaced);
    expect(outcome.client.status).toBe(413);
    expect(outcome.upstream).toBeUndefined();
  });

  test("Envoy waits forever for a body above the limit after an override from NONE to BUFFERED", () => {
    const override = modeOverride({ requestBodyMode: 2 });
    const outcome = simulate(
      { requestHeaders: [override] },
      requestMode("NONE", { allowModeOverride: true, bufferLimitBytes: 4 }),
      { request: { chunks: ["1234567890123456"] } },
    );
    expect(outcome).toMatchObject({ client: { status: 408 }, responseCodeDetails: "stream_idle_timeout" });
  });
});

describe("answers to a body", () => {
  test("answers to a body replace one chunk each in STREAMED", () => {
    const outcome = simulate({ requestBody: [bodyAnswer("requestBody", "x")] }, requestMode("STREAMED"), spaced);
    expect(text(outcome.upstream?.body)).toBe("xxx");
  });

  test("answers to a body change headers that are held, and warn if they are not held", () => {
    const answer = {
      response: {
        case: "requestBody" as const,
        value: { response: { headerMutation: { setHeaders: [{ header: { key: "x-a", rawValue: bytes("1") } }] } } },
      },
    };
    const buffered = simulate({ requestBody: [answer] }, requestMode("BUFFERED"), spaced);
    expect(headerOf(buffered.upstream, "x-a")).toBe("1");
    const streaming = simulate({ requestBody: [answer] }, requestMode("STREAMED"), spaced);
    expect(headerOf(streaming.upstream, "x-a")).toBeUndefined();
    expect(warningCodes(streaming)).toContain("header_mutation_too_late");
  });

  test.each([
    ["of another length", "longer than before", 500],
    ["of the same length", "eno owt", 200],
  ])("answers to a body with content-length are compared with it: one %s", (_, body, status) => {
    const exchange: HttpExchange = { request: { headers: [["content-length", "7"]], chunks: ["one two"] } };
    const outcome = simulate({ requestBody: [bodyAnswer("requestBody", body)] }, requestMode("BUFFERED"), exchange);
    expect(outcome.client.status).toBe(status);
    if (status === 500) expect(outcome.responseCodeDetails).toMatch(/^mismatch_between_content_length/);
  });

  test("bytes that a server does not send back are lost in FULL_DUPLEX_STREAMED", () => {
    const outcome = simulate(
      { requestBody: (stream, { request }) => request.value && "endOfStream" in request.value && stream.end(0) },
      requestMode("FULL_DUPLEX_STREAMED"),
      spaced,
    );
    expect(text(outcome.upstream?.body)).toBe("two");
    expect(warningCodes(outcome)).toContain("body_lost");
  });

  test("answers to a body may be more or fewer than chunks in FULL_DUPLEX_STREAMED", () => {
    const all = [streamed("a", false), streamed("b", false), streamed("c", true)];
    const outcome = simulate({ requestBody: all }, requestMode("FULL_DUPLEX_STREAMED"), {
      protocol: "http2",
      request: { chunks: ["x"] },
    });
    expect(text(outcome.upstream?.body)).toBe("abc");
  });

  test("a transaction hangs if FULL_DUPLEX_STREAMED ends on a chunk although trailers came", () => {
    const outcome = simulate({ requestBody: [streamed("x", true)] }, requestMode("FULL_DUPLEX_STREAMED"), {
      request: { chunks: ["a"], trailers: [["x-t", "1"]] },
    });
    expect(outcome.responseCodeDetails).toBe("stream_idle_timeout");
  });
});

describe("content-length", () => {
  test.each<[BodySendMode, string | undefined]>([
    ["NONE", "7"],
    ["BUFFERED", "7"],
    ["BUFFERED_PARTIAL", undefined],
    ["STREAMED", undefined],
    ["FULL_DUPLEX_STREAMED", undefined],
  ])("content-length in %s reaches the upstream as %s", (mode, expected) => {
    const exchange: HttpExchange = { request: { headers: [["content-length", "7"]], chunks: ["one two"] } };
    expect(headerOf(simulate({}, requestMode(mode), exchange).upstream, "content-length")).toBe(expected);
  });

  test("content-length that is set too small lets a request be smuggled, and the warning says so", () => {
    const outcome = simulate(
      { requestHeaders: [headersAnswer("requestHeaders", { "content-length": "3" })] },
      requestMode("NONE"),
      atOnce,
    );
    expect(text(outcome.upstream?.body)).toBe("one");
    expect(text(outcome.upstream?.smuggled)).toBe(" two");
    expect(warningCodes(outcome)).toContain("body_after_content_length");
  });

  test("content-length that is set too large makes the upstream wait", () => {
    const outcome = simulate(
      { requestHeaders: [headersAnswer("requestHeaders", { "content-length": "99" })] },
      requestMode("NONE"),
      atOnce,
    );
    expect(outcome).toMatchObject({ upstream: { end: "incomplete" }, responseCodeDetails: "response_timeout" });
  });

  test("content-length is kept by an override to STREAMED, with a warning", () => {
    const override = modeOverride({ requestBodyMode: 1 });
    const outcome = simulate({ requestHeaders: [override] }, requestMode("NONE", { allowModeOverride: true }), {
      request: { headers: [["content-length", "7"]], chunks: ["one ", "two"], chunkIntervalMs: 5 },
    });
    expect(headerOf(outcome.upstream, "content-length")).toBe("7");
    expect(warningCodes(outcome)).toContain("content_length_kept");
  });

  test("content-length is not kept if the same answer removes it, and there is no warning", () => {
    const answer = {
      response: {
        case: "requestHeaders" as const,
        value: { response: { headerMutation: { removeHeaders: ["Content-Length"] } } },
      },
      modeOverride: { requestBodyMode: 1 },
    };
    const outcome = simulate({ requestHeaders: [answer] }, requestMode("NONE", { allowModeOverride: true }), {
      request: { headers: [["content-length", "7"]], chunks: ["one ", "two"], chunkIntervalMs: 5 },
    });
    expect(headerOf(outcome.upstream, "content-length")).toBeUndefined();
    expect(warningCodes(outcome)).toEqual([]);
  });
});
