import { describe, expect, test, vi } from "vitest";
import { CANCEL } from "../../src/http2/error-codes.ts";
import { defineProcessor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effects.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { type Deferred, deferred, nextTurn } from "../session/deferred.ts";
import { startCall } from "./started-call.ts";

/** A processor whose header handlers settle when the test decides. */
function gated() {
  const request: Deferred<void> = deferred();
  const response: Deferred<void> = deferred();
  const processor = defineProcessor({
    name: "gated",
    async requestHeaders() {
      await request.promise;
      return setHeader("x-a", "1");
    },
    responseHeaders: () => response.promise,
  });
  return { request, response, processor };
}

/** An open transaction: 1 message at work and `waiting` messages behind it. */
function chunks(waiting: number) {
  return [headersOf("requestHeaders"), ...Array.from({ length: waiting }, (_, n) => bodyOf("requestBody", `${n}`))];
}

describe("a call with asynchronous handlers", () => {
  test("a call with asynchronous handlers keeps the order of each direction, and neither direction waits for the other", async () => {
    const { request, response, processor } = gated();
    const { stream, receive } = startCall(processor);
    receive(headersOf("requestHeaders"), bodyOf("requestBody", "a"), trailersOf("requestTrailers"));
    receive(headersOf("responseHeaders"), bodyOf("responseBody", "b"));
    await nextTurn();
    expect(stream.answers).toEqual([]);
    response.resolve();
    await nextTurn();
    expect(stream.answers.map((answer) => answer.response.case)).toEqual(["responseHeaders", "responseBody"]);
    request.resolve();
    await nextTurn();
    expect(stream.answers.slice(2).map((answer) => answer.response.case)).toEqual([
      "requestHeaders",
      "requestBody",
      "requestTrailers",
    ]);
  });

  test("a call with asynchronous handlers ends with OK only when it has answered every message before the half-close", async () => {
    const { request, processor } = gated();
    const { call, stream, receive } = startCall(processor);
    receive(headersOf("requestHeaders"), bodyOf("requestBody", "a"));
    call.onEnd();
    await nextTurn();
    expect(stream.isClosed).toBe(false);
    request.resolve();
    await nextTurn();
    expect(stream.answers.length).toBe(2);
    expect(stream.ending).toEqual({ "grpc-status": "0" });
  });
});

describe("back-pressure of a call", () => {
  test("a call stops reading while 16 messages wait for a handler, and continues when the handler has settled", async () => {
    const { request, processor } = gated();
    const { stream, receive } = startCall(processor);
    receive(...chunks(15));
    expect(stream.isPaused).toBe(false);
    receive(bodyOf("requestBody", "16th"));
    expect(stream.isPaused).toBe(true);
    // Messages that were on their way when the window closed still come.
    receive(bodyOf("requestBody", "17th"));
    request.resolve();
    await nextTurn();
    expect(stream.isPaused).toBe(false);
    expect(stream.answers.length).toBe(18);
  });

  test("a call stops reading while Envoy does not read answers, and continues when there is room", () => {
    const { stream, call, receive } = startCall(defineProcessor({ name: "nothing" }));
    receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")));
    stream.takesMore = false;
    receive(bodyOf("requestBody", new Uint8Array(200_000)));
    expect(stream.isPaused).toBe(true);
    stream.takesMore = true;
    expect(stream.isPaused).toBe(true);
    call.onWritable();
    expect(stream.isPaused).toBe(false);
  });

  test("a call does not continue reading for a handler that settles while Envoy does not read", async () => {
    const { request, response, processor } = gated();
    const { stream, call, receive } = startCall(processor);
    receive(...chunks(16), headersOf("responseHeaders"));
    stream.takesMore = false;
    request.resolve();
    await nextTurn();
    expect(stream.isPaused).toBe(true);
    response.resolve();
    await nextTurn();
    expect(stream.isPaused).toBe(true);
    call.onWritable();
    expect(stream.isPaused).toBe(false);
  });

  test("a call does not continue reading for Envoy while a handler still has 16 waiting messages", async () => {
    const { request, processor } = gated();
    const { stream, call, receive } = startCall(processor);
    receive(headersOf("responseHeaders", [], { endOfStream: true }));
    receive(...chunks(16));
    expect(stream.isPaused).toBe(true);
    call.onWritable();
    expect(stream.isPaused).toBe(true);
    request.resolve();
    await nextTurn();
    expect(stream.isPaused).toBe(false);
  });
});

describe("a handler that outlives its stream", () => {
  test("a handler that outlives its stream keeps the stream's place until it settles: reset", async () => {
    const { request, processor } = gated();
    const { call, stream, receive } = startCall(processor);
    receive(headersOf("requestHeaders"));
    stream.close();
    call.onReset(CANCEL);
    expect(stream.holds).toBe(1);
    request.resolve();
    await nextTurn();
    expect(stream.holds).toBe(0);
  });

  test("a handler that outlives its stream keeps the stream's place until it settles: deadline", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { request, processor } = gated();
    const { stream, receive } = startCall(processor, { timeout: "1S" });
    receive(headersOf("requestHeaders"));
    vi.advanceTimersByTime(1000);
    vi.useRealTimers();
    expect([stream.isClosed, stream.holds]).toEqual([true, 1]);
    request.resolve();
    await nextTurn();
    expect(stream.holds).toBe(0);
  });

  test("a handler that outlives its stream keeps the stream's place until the last one settles: fault of the other direction", async () => {
    const { request, response, processor } = gated();
    const { stream, receive } = startCall(processor);
    receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    response.reject(new Error("no"));
    await nextTurn();
    expect([stream.ending["grpc-status"], stream.holds]).toEqual(["13", 1]);
    request.resolve();
    await nextTurn();
    expect(stream.holds).toBe(0);
  });

  test("a handler of either direction that outlives its stream holds one place", async () => {
    const { request, response, processor } = gated();
    const { call, stream, receive } = startCall(processor);
    receive(headersOf("requestHeaders"));
    request.resolve();
    await nextTurn();
    expect(stream.holds).toBe(0);
    receive(headersOf("responseHeaders"));
    stream.close();
    call.onReset(CANCEL);
    expect(stream.holds).toBe(1);
    response.reject(new Error("an error after the end"));
    await nextTurn();
    expect(stream.holds).toBe(0);
  });

  test("a stream with synchronous handlers holds no place after its end", () => {
    const { call, stream, receive } = startCall(defineProcessor({ name: "sync", requestHeaders: () => undefined }));
    let held = 0;
    const hold = stream.hold.bind(stream);
    stream.hold = () => {
      held++;
      return hold();
    };
    receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    stream.close();
    call.onReset(CANCEL);
    expect(held).toBe(0);
  });
});
