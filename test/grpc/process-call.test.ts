import { fail } from "node:assert";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { hello } from "../../src/builtin/hello.ts";
import { CANCEL } from "../../src/http2/error-codes.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { upperProcessor } from "../session/body/upper.ts";
import { deferred, nextTurn } from "../session/deferred.ts";
import { requestBytes } from "./fake-stream.ts";
import { grpcFrame } from "./framing.ts";
import { startCall } from "./started-call.ts";

const broken = defineProcessor({
  name: "broken",
  requestHeaders: () => {
    throw new Error("s3cret");
  },
});
/** The fault policy decides if no handler must see the message that cannot be read. */
const responseOnly = defineProcessor({ name: "response", responseHeaders: () => undefined });
const hung = defineProcessor({ name: "hung", requestHeaders: () => new Promise<undefined>(() => undefined) });

describe("a call with synchronous handlers", () => {
  test("a call with synchronous handlers is answered inside the call that brings the message, with response headers before the first answer only", () => {
    const { stream, receive } = startCall(hello);
    expect(stream.log).toEqual([]);
    receive(headersOf("requestHeaders"));
    expect(stream.log).toEqual(["beginWork", "respond", "message"]);
    expect(stream.fields).toEqual([{ ":status": "200", "content-type": "application/grpc" }]);
    receive(headersOf("responseHeaders"), trailersOf("responseTrailers"));
    expect(stream.log.slice(3)).toEqual(["message", "message"]);
    expect(stream.answers.map(({ response }) => response.case)).toEqual([
      "requestHeaders",
      "responseHeaders",
      "responseTrailers",
    ]);
  });

  test("a call with synchronous handlers is answered the same wherever its bytes are cut", () => {
    const bytes = requestBytes(headersOf("requestHeaders", [["x-a", "b"]]), bodyOf("requestBody", "body"));
    const whole = startCall(hello);
    whole.receiveBytes(bytes);
    for (let cut = 0; cut <= bytes.length; cut++) {
      const { stream, receiveBytes } = startCall(hello);
      receiveBytes(bytes.subarray(0, cut));
      receiveBytes(bytes.subarray(cut));
      expect(stream.answers).toEqual(whole.stream.answers);
    }
  });

  test("a call with synchronous handlers ends with OK once the peer has half-closed, and sends nothing behind it", () => {
    const { call, stream, sessions, ends, receive } = startCall(hello);
    receive(headersOf("requestHeaders"));
    call.onEnd();
    expect(stream.ending).toEqual({ "grpc-status": "0" });
    expect([ends, sessions.size]).toEqual([[{ result: "completed" }], 0]);
    const { length } = stream.log;
    receive(headersOf("responseHeaders"));
    call.onReset(CANCEL);
    expect(stream.log.length).toBe(length);
  });

  test("a call ends with CANCELLED if the half-close leaves a body without its end, and a message without its answer", () => {
    const { call, stream, ends, receive } = startCall(upperProcessor("whole"));
    receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")), bodyOf("requestBody", "a piece"));
    call.onEnd();
    expect(stream.ending).toEqual({
      ":status": "200",
      "content-type": "application/grpc",
      "grpc-status": "1",
      "grpc-message": "the peer ended its messages before it got an answer that waits for more of them",
    });
    expect(ends).toMatchObject([{ result: "unanswered" }]);
  });

  test("a call without a message is answered with headers and OK", () => {
    const { call, stream } = startCall(hello);
    call.onEnd();
    expect(stream.log).toEqual(["respond", "end"]);
    expect(stream.fields).toEqual([{ ":status": "200", "content-type": "application/grpc" }, { "grpc-status": "0" }]);
  });

  test("a call that answers a client itself ends there, and ignores later messages", () => {
    const guard = defineProcessor({ name: "guard", requestHeaders: () => immediateResponse(403) });
    const { stream, ends, receive } = startCall(guard);
    receive(headersOf("requestHeaders"), bodyOf("requestBody", "more"), headersOf("responseHeaders"));
    expect(stream.answers.map(({ response }) => response.case)).toEqual(["immediateResponse"]);
    expect([stream.ending, ends]).toEqual([{ "grpc-status": "0" }, [{ result: "immediate_response" }]]);
  });

  test("a call sends nothing after its stream is reset, and counts as completed if no message waited for an answer", () => {
    const { call, stream, ends, sessions, receive } = startCall(hello);
    receive(headersOf("requestHeaders"));
    stream.close();
    call.onReset(CANCEL);
    expect(stream.log).toEqual(["beginWork", "respond", "message"]);
    expect([ends, sessions.size]).toEqual([[{ result: "completed" }], 0]);
  });
});

describe("a call that fails", () => {
  test("a call that fails by a message of more than 10,000 headers names the limit", () => {
    const { stream, ends, receiveBytes } = startCall(hello, { maxMessageBytes: 1 << 20 });
    const headers = Array.from({ length: 10_001 }, () => ["", ""] as const);
    receiveBytes(requestBytes(headersOf("requestHeaders", headers)));
    expect(stream.ending).toMatchObject({
      "grpc-status": "3",
      "grpc-message": "malformed_message: a message has more than 10000 headers",
    });
    expect(ends).toMatchObject([{ result: "fault", error: { code: "malformed_message" } }]);
  });

  test.each<[string, Uint8Array, string, string]>([
    ["bytes that are not protobuf", grpcFrame(Buffer.from("ffffffff", "hex")), "3", "malformed_message: the peer sent"],
    ["a field of the wrong wire type", grpcFrame(Buffer.from("1201ff", "hex")), "3", "malformed_message: the peer"],
    ["a message above the limit", grpcFrame("\0", { length: 1001 }), "8", "message_too_large: a message has"],
    [
      "a compressed flag without a coding",
      grpcFrame("x", { flag: 1 }),
      "13",
      "compression_undeclared: the peer marked",
    ],
    ["a flag that means nothing", grpcFrame("x", { flag: 2 }), "3", "malformed_message: a message has"],
  ])(
    "a call that fails, %s, ends with only the status if nothing was answered before",
    (_name, bytes, status, message) => {
      const { stream, ends, receiveBytes, receive } = startCall(responseOnly, { maxMessageBytes: 1000 });
      receiveBytes(Buffer.concat([bytes, requestBytes(headersOf("requestHeaders"))]));
      receive(headersOf("requestHeaders"));
      expect(stream.log.filter((entry) => entry !== "beginWork")).toEqual(["respond and end"]);
      expect(stream.ending).toMatchObject({
        ":status": "200",
        "content-type": "application/grpc",
        "grpc-status": status,
        "grpc-message": expect.stringContaining(message),
      });
      expect(stream.ending["grpc-accept-encoding"]).toBe(status === "12" ? "identity" : undefined);
      expect(ends).toMatchObject([{ result: "fault" }]);
    },
  );

  test("a call that fails behind an answer ends with trailers", () => {
    const { stream, receive, receiveBytes } = startCall(hello);
    receive(headersOf("requestHeaders"));
    receiveBytes(grpcFrame("x", { flag: 1 }));
    expect(stream.log).toEqual(["beginWork", "respond", "message", "end"]);
    expect(stream.ending).toMatchObject({ "grpc-status": "13", "ext-proc-fault": "compression_undeclared" });
  });

  test("a call that ends with half a message fails with INVALID_ARGUMENT", () => {
    const bytes = requestBytes(headersOf("requestHeaders", [["a", "b"]]));
    for (let length = 1; length < bytes.length; length++) {
      const { call, stream, receiveBytes } = startCall(hello);
      receiveBytes(bytes.subarray(0, length));
      call.onEnd();
      expect(stream.ending).toMatchObject({
        "grpc-status": "3",
        "grpc-message": "malformed_message: the request ends inside a message",
      });
    }
  });

  test("half a message in front of a reset is not a fault", () => {
    const { call, stream, ends, receiveBytes } = startCall(hello);
    receiveBytes(requestBytes(headersOf("requestHeaders")).subarray(0, 6));
    stream.close();
    call.onReset(CANCEL);
    expect([stream.log, ends]).toEqual([[], [{ result: "completed" }]]);
  });

  test("a call whose handler throws fails with INTERNAL, without what was thrown", () => {
    const { stream, receive } = startCall(broken);
    receive(headersOf("requestHeaders"));
    expect(stream.ending).toMatchObject({
      "grpc-status": "13",
      "ext-proc-fault": "handler_threw",
      "grpc-message": 'handler_threw: processor "broken", requestHeaders: the handler threw',
    });
  });

  test("a failing call ends with OK in observability mode, and tells its observer", () => {
    const { stream, ends, receive } = startCall(broken);
    receive(headersOf("requestHeaders", [], { observabilityMode: true }));
    expect([stream.log, stream.ending]).toEqual([["beginWork", "respond", "end"], { "grpc-status": "0" }]);
    expect(ends).toMatchObject([{ result: "fault", fault: { code: "handler_threw" }, observed: true }]);
  });

  test("a call fails with UNAVAILABLE at shutdown if a message waits for an answer, and ends with OK if not", () => {
    const waiting = startCall(hung);
    waiting.receive(headersOf("requestHeaders"));
    waiting.sessions.shutDown();
    expect(waiting.stream.ending).toMatchObject({ "grpc-status": "14" });
    const idle = startCall(hello);
    idle.receive(headersOf("requestHeaders"));
    idle.sessions.shutDown();
    expect(idle.stream.ending).toEqual({ "grpc-status": "0" });
  });
});

describe("a call with a grpc-timeout", () => {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("a grpc-timeout ends a call with DEADLINE_EXCEEDED if it passes before the answer was sent, and aborts the handler's signal", () => {
    let signal: AbortSignal | undefined;
    const waiting = defineProcessor({
      name: "waiting",
      requestHeaders(_headers, tx) {
        signal = tx.signal;
        return new Promise<undefined>(() => undefined);
      },
    });
    const { stream, ends, receive } = startCall(waiting, { timeout: "250m" });
    receive(headersOf("requestHeaders"));
    vi.advanceTimersByTime(249);
    expect([stream.isClosed, signal?.aborted]).toEqual([false, false]);
    vi.advanceTimersByTime(1);
    expect(stream.ending).toMatchObject({ "grpc-status": "4" });
    expect([ends, signal?.aborted]).toMatchObject([[{ result: "unanswered" }], true]);
  });

  test("a grpc-timeout ends a call with DEADLINE_EXCEEDED if it passes while no message waits for an answer", () => {
    const { stream, ends, receive } = startCall(hello, { timeout: "1S" });
    receive(headersOf("requestHeaders"));
    vi.advanceTimersByTime(1000);
    expect([stream.ending["grpc-status"], ends]).toEqual(["4", [{ result: "completed" }]]);
  });

  test("a grpc-timeout leaves no timer behind, however the call ends", () => {
    const ended = startCall(hello, { timeout: "1S" });
    ended.call.onEnd();
    const failed = startCall(broken, { timeout: "1S" });
    failed.receive(headersOf("requestHeaders"));
    const reset = startCall(hello, { timeout: "1S" });
    reset.stream.close();
    reset.call.onReset(CANCEL);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a grpc-timeout that is malformed is INVALID_ARGUMENT, before any message", () => {
    const { stream, receive, sessions, call } = startCall(hello, { timeout: "1 hour" });
    expect(stream.log).toEqual(["respond and end"]);
    expect(stream.ending).toMatchObject({ "grpc-status": "3" });
    receive(headersOf("requestHeaders"));
    call.onEnd();
    expect([stream.log, sessions.size]).toEqual([["respond and end"], 0]);
  });

  test("a grpc-timeout that is longer than a timer can wait sets no timer", () => {
    startCall(hello, { timeout: "99999999H" });
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe("a handler that settles after its call", () => {
  test.each(["reset", "deadline", "fault", "shutdown"])(
    "a handler that settles after its call is ignored: %s",
    async (how) => {
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      const late = deferred();
      const slow = defineProcessor({
        name: "slow",
        async requestHeaders() {
          await late.promise;
          return setHeader("x-late", "1");
        },
        responseHeaders: () => (how === "fault" ? fail("on purpose") : undefined),
      });
      const { call, stream, sessions, receive } = startCall(slow, { timeout: "1S" });
      receive(headersOf("requestHeaders"));
      if (how === "reset") {
        stream.close();
        call.onReset(CANCEL);
      } else if (how === "deadline") vi.advanceTimersByTime(1000);
      else if (how === "fault") receive(headersOf("responseHeaders"));
      else sessions.shutDown();
      vi.useRealTimers();
      const before = [...stream.log];
      late.resolve();
      await nextTurn();
      expect(stream.log).toEqual(before);
      expect(stream.answers).toEqual([]);
    },
  );
});
