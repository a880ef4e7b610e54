import { describe, expect, test } from "vitest";
import { compose, defineProcessor, type Processor } from "../../src/processor/definition.ts";
import { setHeader } from "../../src/processor/effects.ts";
import { type OperatorOptions, runRules } from "../../src/processor/run-rules.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "./deferred.ts";
import { ManualTimers } from "./manual-timers.ts";
import { type RecordedSession, recordSession } from "./recorded-session.ts";

/** A session on a clock that the test moves. */
function timed(
  processor: Processor,
  options: OperatorOptions = {},
): RecordedSession & { readonly timers: ManualTimers } {
  const timers = new ManualTimers();
  return { ...recordSession(processor, { timers, rules: runRules(processor, options) }), timers };
}

/** The handlers of both headers phases wait until the test decides. */
function slow(name = "slow", timeoutMs?: number) {
  const request = deferred();
  const response = deferred();
  const processor = defineProcessor({
    name,
    timeoutMs,
    async requestHeaders() {
      await request.promise;
      return setHeader("x-late", name);
    },
    async responseHeaders() {
      await response.promise;
      return setHeader("x-late", name);
    },
  });
  return { processor, request, response };
}

describe("a handler that takes longer than timeoutMs", () => {
  test("a handler that takes too long is fault handler_timeout of its processor", () => {
    const { session, receive, timers, log, ends } = timed(slow().processor);
    receive(headersOf("requestHeaders"));
    timers.advance(149);
    expect(log).toEqual([]);
    timers.advance(1);
    expect(log).toEqual(["ended: handler_timeout"]);
    expect(ends[0]).toMatchObject({
      result: "fault",
      fault: { source: "handler", processor: "slow" },
      error: { message: 'processor "slow", requestHeaders: no answer within 150 ms' },
    });
    expect(session.late?.count).toBe(1);
  });

  test("a handler that settles after its timeout is ignored", async () => {
    const { processor, request } = slow();
    const { receive, timers, log, session } = timed(processor);
    receive(headersOf("requestHeaders"));
    timers.advance(150);
    request.resolve();
    await nextTurn();
    expect(log).toEqual(["ended: handler_timeout"]);
    expect(session.late).toBeUndefined();
  });

  test("a handler keeps its result if the result is ready when a stalled event loop goes on", async () => {
    const { processor, request } = slow();
    const timers = new ManualTimers();
    const fired: (() => void)[] = [];
    const stalled = {
      now: () => timers.now(),
      set: (callback: () => void) => fired.push(callback),
      clear: () => undefined,
    };
    const { receive, log } = recordSession(processor, { timers: stalled });
    receive(headersOf("requestHeaders"));
    fired.shift()?.();
    request.resolve();
    await nextTurn();
    fired.shift()?.();
    expect(log).toEqual(["requestHeaders"]);
  });

  test("no handler runs behind a handler that takes too long, in the same phase or another", async () => {
    const ran: string[] = [];
    const behind = defineProcessor({
      name: "behind",
      requestHeaders: () => void ran.push("requestHeaders"),
      requestTrailers: () => void ran.push("requestTrailers"),
    });
    const { processor, request } = slow();
    const { receive, timers } = timed(compose(processor, behind), { onFault: "envoy" });
    receive(headersOf("requestHeaders"), trailersOf("requestTrailers"));
    timers.advance(150);
    request.resolve();
    await nextTurn();
    expect(ran).toEqual([]);
  });

  test("a handler that takes too long has its signal aborted", () => {
    let signal: AbortSignal | undefined;
    const processor = defineProcessor({
      name: "listening",
      requestHeaders(_headers, tx) {
        signal = tx.signal;
        return new Promise<undefined>(() => undefined);
      },
    });
    const { receive, timers } = timed(processor);
    receive(headersOf("requestHeaders"));
    expect(signal?.aborted).toBe(false);
    timers.advance(150);
    expect(signal?.aborted).toBe(true);
  });
});

describe("the timer of an answer", () => {
  test("a synchronous handler costs no timer", () => {
    const { receive, timers } = timed(defineProcessor({ name: "quick", requestHeaders: () => setHeader("x-a", "1") }));
    receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    expect(timers.count).toBe(0);
  });

  test("no timer is left when the answer is sent, or Envoy is gone", async () => {
    const { processor, request } = slow();
    const answered = timed(processor);
    answered.receive(headersOf("requestHeaders"));
    expect(answered.timers.count).toBe(1);
    request.resolve();
    await nextTurn();
    expect([answered.timers.count, answered.log]).toEqual([0, ["requestHeaders"]]);

    const canceled = timed(slow().processor);
    canceled.receive(headersOf("requestHeaders"));
    canceled.session.cancel();
    expect(canceled.timers.count).toBe(0);
  });

  test("the timer of an answer starts for each message when its handlers are called, and not before", async () => {
    const { processor, request } = slow("one", 100);
    const late = defineProcessor({
      name: "trailers",
      timeoutMs: 100,
      requestTrailers: () => new Promise<undefined>(() => undefined),
    });
    const { receive, timers, log } = timed(compose(processor, late));
    receive(headersOf("requestHeaders"), trailersOf("requestTrailers"));
    timers.advance(90);
    request.resolve();
    await nextTurn();
    timers.advance(99);
    expect(log).toEqual(["requestHeaders"]);
    timers.advance(1);
    expect(log).toEqual(["requestHeaders", "ended: handler_timeout"]);
  });

  test("the timer of an answer belongs to the message, with the limit of the processor at work", async () => {
    const first = slow("first", 150);
    const second = slow("second", 100);
    const { receive, timers, ends } = timed(compose(first.processor, second.processor));
    receive(headersOf("requestHeaders"));
    timers.advance(90);
    first.request.resolve();
    await nextTurn();
    timers.advance(9);
    expect(ends).toEqual([]);
    timers.advance(1);
    expect(ends[0]?.fault).toMatchObject({ code: "handler_timeout", processor: "second" });
  });

  test("each direction has its own timer", async () => {
    const { processor, request } = slow();
    const { receive, timers, ends } = timed(processor);
    receive(headersOf("requestHeaders"));
    timers.advance(100);
    receive(headersOf("responseHeaders"));
    request.resolve();
    await nextTurn();
    timers.advance(149);
    expect(ends).toEqual([]);
    timers.advance(1);
    expect(ends[0]?.fault?.message).toContain("responseHeaders");
  });
});

describe("a timeout above Envoy's own", () => {
  const envoy = { messageTimeoutMs: 200, maxMessageTimeoutMs: 2000 };

  test("more time is requested once for each message, early enough, in a separate message", async () => {
    const { processor, request, response } = slow("patient", 1000);
    const { receive, timers, answers, log } = timed(processor, { envoy });
    receive(headersOf("requestHeaders"));
    timers.advance(149);
    expect(answers).toEqual([]);
    timers.advance(1);
    expect(answers).toHaveLength(1);
    expect(answers[0]).toMatchObject({
      response: { case: undefined },
      overrideMessageTimeout: { seconds: 0n, nanos: 900_000_000 },
    });
    timers.advance(849);
    expect(answers).toHaveLength(1);
    request.resolve();
    await nextTurn();
    receive(headersOf("responseHeaders"));
    timers.advance(150);
    response.resolve();
    await nextTurn();
    expect(log).toEqual(["empty", "requestHeaders", "empty", "responseHeaders"]);
  });

  test("more time is requested with the time that the other direction needs too, which Envoy extends as well, and only once", () => {
    const { receive, timers, answers, log } = timed(slow("patient", 1000).processor, { envoy });
    receive(headersOf("requestHeaders"));
    timers.advance(140);
    receive(headersOf("responseHeaders"));
    timers.advance(500);
    // From 150 ms on: until 1,140 ms, when the response's time is over, and 50 ms more.
    expect(answers.map(({ overrideMessageTimeout }) => overrideMessageTimeout)).toMatchObject([
      { seconds: 1n, nanos: 40_000_000 },
    ]);
    expect(log).toEqual(["empty"]);
  });

  test("more time is requested with the time that a slower processor behind needs, which cannot request it again", async () => {
    const [first, second] = [slow("first", 500), slow("second", 1000)];
    const { receive, timers, answers, log } = timed(compose(first.processor, second.processor), { envoy });
    receive(headersOf("requestHeaders"));
    timers.advance(400);
    first.request.resolve();
    await nextTurn();
    timers.advance(599);
    expect(answers.map(({ overrideMessageTimeout }) => overrideMessageTimeout)).toMatchObject([{ nanos: 900_000_000 }]);
    timers.advance(1);
    expect(log).toEqual(["empty", "ended: handler_timeout"]);
  });

  test("a handler times out when its extended time is over", () => {
    const { receive, timers, log } = timed(slow("patient", 1000).processor, { envoy });
    receive(headersOf("requestHeaders"));
    timers.advance(999);
    expect(log).toEqual(["empty"]);
    timers.advance(1);
    expect(log).toEqual(["empty", "ended: handler_timeout"]);
  });

  test("more time is not requested if the answer comes before", async () => {
    const { processor, request } = slow("patient", 1000);
    const { receive, timers, log } = timed(processor, { envoy });
    receive(headersOf("requestHeaders"));
    timers.advance(100);
    request.resolve();
    await nextTurn();
    timers.advance(1000);
    expect(log).toEqual(["requestHeaders"]);
  });

  test.each([
    ["if Envoy only watches", { observabilityMode: true }],
    ["in FULL_DUPLEX_STREAMED, in which Envoy has no timer", bodyModes("FULL_DUPLEX_STREAMED")],
  ] as const)("more time is not requested %s", (_where, envelope) => {
    const { receive, timers, answers } = timed(slow("patient", 1000).processor, { envoy });
    receive(headersOf("requestHeaders", [], envelope));
    timers.advance(999);
    expect(answers).toEqual([]);
  });

  test("a timeout above what Envoy grants is cut", () => {
    const { receive, timers, log } = timed(slow("patient", 1000).processor);
    receive(headersOf("requestHeaders"));
    timers.advance(150);
    expect(log).toEqual(["ended: handler_timeout"]);
  });
});
