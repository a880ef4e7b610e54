import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { bytes, conversation, headersAnswer, type Reaction, simulate, text, warningCodes } from "./servers.ts";

const fails: Reaction = (stream) => stream.end(13, "broken");
const ends: Reaction = (stream) => stream.end(0);
const silent: Reaction = () => {};
const answerToHeaders = create(ProcessingResponseSchema, { response: { case: "requestHeaders", value: {} } });
const bodyAnswered = create(ProcessingResponseSchema, {
  response: {
    case: "requestBody",
    value: { response: { bodyMutation: { mutation: { case: "body", value: bytes("x") } } } },
  },
});
const moreTime = (ms: bigint) =>
  create(ProcessingResponseSchema, { overrideMessageTimeout: { seconds: 0n, nanos: Number(ms) * 1_000_000 } });
const post = { request: { chunks: ["one ", "two"], chunkIntervalMs: 5 } };

describe("a stream that fails", () => {
  test("a stream that fails ends the transaction with status_on_error", () => {
    const outcome = simulate({ requestHeaders: fails }, { statusOnError: 503 });
    expect(outcome).toMatchObject({
      upstream: undefined,
      client: { status: 503, end: "complete" },
      responseCodeDetails: "ext_proc_error_gRPC_error_13{broken{via_upstream}}",
      counters: { streams_failed: 1, server_half_closed: 1, immediate_responses_sent: 1, streams_closed: 0 },
    });
  });

  test("a stream that fails lets the transaction pass if failure_mode_allow is set", () => {
    expect(simulate({ requestHeaders: fails }, { failureModeAllow: true })).toMatchObject({
      client: { status: 200 },
      counters: { streams_failed: 1, failure_mode_allowed: 1, server_half_closed: 2, streams_closed: 1 },
    });
  });

  test("a stream that fails cuts the response if its headers have reached the client", () => {
    const settings = { processingMode: { responseBodyMode: "STREAMED" as const } };
    const outcome = simulate({ responseBody: fails }, settings, { response: { ...post.request } });
    expect(outcome.client).toMatchObject({ status: 200, end: "reset" });
  });

  test("a stream that fails does not let the transaction pass once a full-duplex body was handed over", () => {
    const processingMode = { requestBodyMode: "FULL_DUPLEX_STREAMED" as const, requestTrailerMode: "SEND" as const };
    expect(simulate({ requestBody: fails }, { processingMode, failureModeAllow: true }, post).client.status).toBe(500);
  });

  test.each([
    ["a reset before response headers", 14, (stream) => stream.reset()],
    [
      "a reset after them",
      13,
      (stream) => {
        stream.responseHeaders();
        stream.reset();
      },
    ],
    ["HTTP 500", 2, (stream) => stream.httpStatus(500)],
    ["HTTP 503", 14, (stream) => stream.httpStatus(503)],
  ] as [string, number, Reaction][])("a stream that fails by %s has gRPC code %i", (_, code, reaction) => {
    expect(simulate({ requestHeaders: reaction }).responseCodeDetails).toContain(`ext_proc_error_gRPC_error_${code}{`);
  });

  test("a stream that fails after the last needed answer is not noticed since Envoy 1.37", () => {
    const reaction: Reaction = (stream) => {
      stream.message(answerToHeaders);
      stream.end(13);
    };
    const settings = { processingMode: { responseHeaderMode: "SKIP" as const } };
    expect(simulate({ requestHeaders: reaction }, settings).client.status).toBe(200);
    expect(simulate({ requestHeaders: reaction }, { ...settings, envoyVersion: "1.36" }).client.status).toBe(500);
  });
});

describe("a stream that ends with OK", () => {
  test("a stream that ends with OK lets the transaction pass", () => {
    expect(simulate({ requestHeaders: ends })).toMatchObject({
      client: { status: 200 },
      counters: { server_half_closed: 1, streams_closed: 1, streams_failed: 0 },
    });
  });

  test("a stream that ends with OK loses nothing of a streamed body", () => {
    const settings = { processingMode: { requestBodyMode: "STREAMED" as const } };
    expect(text(simulate({ requestBody: ends }, settings, post).upstream?.body)).toBe("one two");
  });
});

describe("a server that does not answer", () => {
  test("a server that does not answer gives a 504 after the timeout", () => {
    expect(simulate({ requestHeaders: silent }, { statusOnError: 503 })).toMatchObject({
      client: { status: 504 },
      responseCodeDetails: "ext_proc_error_per-message_timeout_exceeded",
      counters: { message_timeouts: 1 },
      durationMs: 200,
      streamEnd: "half_close_and_reset",
    });
  });

  test("a server that does not answer in FULL_DUPLEX_STREAMED meets no timer", () => {
    const processingMode = { requestBodyMode: "FULL_DUPLEX_STREAMED" as const, requestTrailerMode: "SEND" as const };
    const settings = { processingMode, streamIdleTimeoutMs: 1000 };
    const outcome = simulate({ requestHeaders: silent, requestBody: silent }, settings, post);
    expect(outcome.responseCodeDetails).toBe("stream_idle_timeout");
  });

  test("one answer stops the timer, although more messages wait for answers", () => {
    let asked = 0;
    const answersOne: Reaction = (stream) => {
      if (asked++ === 0) stream.after(150, () => stream.message(bodyAnswered));
    };
    const settings = { processingMode: { requestBodyMode: "STREAMED" as const }, streamIdleTimeoutMs: 5000 };
    expect(simulate({ requestBody: answersOne }, settings, post)).toMatchObject({
      responseCodeDetails: "stream_idle_timeout",
      counters: { message_timeouts: 0 },
    });
  });

  test("a server may request more time, once", () => {
    const asks: Reaction = (stream) => {
      for (const _ of [1, 2]) stream.message(moreTime(500n));
      stream.after(400, () => stream.message(answerToHeaders));
    };
    expect(simulate({ requestHeaders: asks }, { maxMessageTimeoutMs: 1000 })).toMatchObject({
      client: { status: 200 },
      counters: { override_message_timeout_received: 1, override_message_timeout_ignored: 1 },
    });
  });

  test("a transaction stalls if no timer ends it", () => {
    const processingMode = { requestBodyMode: "FULL_DUPLEX_STREAMED" as const, requestTrailerMode: "SEND" as const };
    const settings = { processingMode, streamIdleTimeoutMs: 0, routeTimeoutMs: 0 };
    expect(simulate({ requestHeaders: silent, requestBody: silent }, settings, post).client.end).toBe("stalled");
  });
});

describe("an answer that Envoy does not wait for", () => {
  test("an answer that Envoy does not wait for fails the transaction, unless failures are allowed", () => {
    const wrong = headersAnswer("responseHeaders", {});
    expect(simulate({ requestHeaders: [wrong] })).toMatchObject({
      client: { status: 500 },
      responseCodeDetails: "spurious_message",
      counters: { spurious_msgs_received: 1, stream_msgs_received: 0 },
    });
    expect(simulate({ requestHeaders: [wrong] }, { failureModeAllow: true })).toMatchObject({
      client: { status: 200 },
      counters: { spurious_msgs_received: 1, failure_mode_allowed: 1 },
    });
  });

  test("an answer without a member fails the transaction", () => {
    expect(simulate({ requestHeaders: [{}] }).responseCodeDetails).toBe("unhandled_message");
  });

  test("an answer is ignored once Envoy is done, with a warning", () => {
    const twice = [headersAnswer("responseHeaders", {}), headersAnswer("responseHeaders", {})];
    const outcome = simulate({ responseHeaders: twice });
    expect(outcome.counters.spurious_msgs_received).toBe(0);
    expect(warningCodes(outcome)).toContain("answer_after_end");
  });
});

test("a client that goes away ends the transaction", () => {
  const outcome = simulate({}, {}, { request: { abortAfterMs: 5 }, response: { delayMs: 10 } });
  expect(outcome).toMatchObject({ client: { end: "aborted" }, durationMs: 5 });
  expect(conversation(outcome)).toBe("requestHeaders! <");
});
