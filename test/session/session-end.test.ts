import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse, setHeader } from "../../src/processor/effects.ts";
import { fault } from "../../src/protocol/fault.ts";
import { SessionSet } from "../../src/session/session-set.ts";
import { bodyOf, headersOf, trailersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "./deferred.ts";
import { recordSession } from "./recorded-session.ts";

/** A processor whose request headers wait until the test decides. */
function slow() {
  const handler = deferred();
  const signals: AbortSignal[] = [];
  const processor = defineProcessor({
    name: "slow",
    requestHeaders: async (_headers, tx) => {
      signals.push(tx.signal);
      await handler.promise;
      return setHeader("x-late", "1");
    },
  });
  return { processor, handler, signals };
}

describe("finish()", () => {
  test("finish() with waiting answers waits for them, then ends", async () => {
    const { processor, handler } = slow();
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), trailersOf("requestTrailers"), headersOf("responseHeaders"));
    recorded.session.finish();
    expect(recorded.log).toEqual(["responseHeaders"]);
    handler.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["responseHeaders", "requestHeaders", "requestTrailers", "ended: completed"]);
  });

  test("finish() waits for both directions", async () => {
    const [request, response] = [deferred(), deferred()];
    const recorded = recordSession(
      defineProcessor({
        name: "both",
        requestHeaders: () => request.promise,
        responseHeaders: () => response.promise,
      }),
    );
    recorded.receive(headersOf("requestHeaders"), headersOf("responseHeaders"));
    recorded.session.finish();
    request.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["requestHeaders"]);
    response.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["requestHeaders", "responseHeaders", "ended: completed"]);
  });

  test("finish() does not hide a fault that comes later", async () => {
    const { processor, handler } = slow();
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.finish();
    handler.reject(new Error("late"));
    await nextTurn();
    expect(recorded.log).toEqual(["ended: handler_threw"]);
  });

  test("finish() called twice ends the session once", () => {
    const recorded = recordSession(slow().processor);
    recorded.session.finish();
    recorded.session.finish();
    expect(recorded.log).toEqual(["ended: completed"]);
  });
});

describe("cancel()", () => {
  test("cancel() while an answer waits ends the session as unanswered, and drops the late answer", async () => {
    const { processor, handler } = slow();
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    recorded.session.cancel();
    expect(recorded.log).toEqual(["ended: unanswered"]);
    expect(recorded.session.backlog).toBe(0);
    handler.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["ended: unanswered"]);
  });

  test("cancel() while no answer waits is not a failure, since Envoy resets every stream that it no longer needs", () => {
    const recorded = recordSession(defineProcessor({ name: "idle" }));
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.cancel();
    expect(recorded.log).toEqual(["requestHeaders", "ended: completed"]);
  });

  test("cancel() aborts the signal of a handler that never settles, and keeps nothing of it", () => {
    const { processor, signals } = slow();
    const sessions = new SessionSet();
    const recorded = recordSession(processor, { sessions });
    recorded.receive(headersOf("requestHeaders"));
    expect([sessions.size, signals[0]?.aborted]).toEqual([1, false]);
    recorded.session.cancel();
    expect([sessions.size, signals[0]?.aborted]).toEqual([0, true]);
  });

  test("cancel() leaves nothing in the transaction of a handler that never settles, and holds the transaction", () => {
    const held: { readonly headers: unknown; readonly path: string | undefined }[] = [];
    let look: () => void = () => undefined;
    const processor = defineProcessor({
      name: "holding",
      requestHeaders(_headers, tx) {
        look = () => held.push({ headers: tx.request.all(":path"), path: tx.request.path });
        return deferred<undefined>().promise;
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders", [[":path", "/held"]]));
    look();
    recorded.session.cancel();
    look();
    expect(held).toEqual([
      { headers: ["/held"], path: "/held" },
      { headers: [], path: undefined },
    ]);
  });

  test("cancel() drops an immediate response that comes late", async () => {
    const handler = deferred();
    const processor = defineProcessor({
      name: "late",
      requestHeaders: async () => {
        await handler.promise;
        return immediateResponse(403);
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.cancel();
    handler.resolve();
    await nextTurn();
    expect(recorded.log).toEqual(["ended: unanswered"]);
  });
});

describe("shutDown()", () => {
  test("shutDown() while an answer waits is fault server_draining, which is not the processor's", () => {
    const recorded = recordSession(slow().processor);
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.shutDown();
    const failure = fault("server_draining", "the server shut down before the answer was ready");
    expect(recorded.ends).toEqual([{ result: "fault", fault: failure, error: failure }]);
  });

  test("shutDown() while no answer waits ends the session as completed", () => {
    const recorded = recordSession(defineProcessor({ name: "idle" }));
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.shutDown();
    expect(recorded.log).toEqual(["requestHeaders", "ended: completed"]);
  });

  test("shutDown() of a set ends each open session in its own way", () => {
    const sessions = new SessionSet();
    const idle = recordSession(defineProcessor({ name: "idle" }), { sessions });
    const busy = recordSession(slow().processor, { sessions });
    const over = recordSession(defineProcessor({ name: "idle" }), { sessions });
    idle.receive(headersOf("requestHeaders"));
    busy.receive(headersOf("requestHeaders"));
    over.session.finish();
    expect(sessions.size).toBe(2);
    sessions.shutDown();
    expect(sessions.size).toBe(0);
    expect(idle.log).toEqual(["requestHeaders", "ended: completed"]);
    expect(busy.log).toEqual(["ended: server_draining"]);
    expect(over.log).toEqual(["ended: completed"]);
  });
});

describe("fail()", () => {
  test("fail() ends the session with the transport's fault", () => {
    const recorded = recordSession(defineProcessor({ name: "idle" }));
    recorded.session.fail(fault("message_too_large", "m"));
    expect(recorded.log).toEqual(["ended: message_too_large"]);
  });

  test("fail() without a fault means that Envoy is gone", () => {
    const recorded = recordSession(slow().processor);
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.fail(undefined);
    expect(recorded.log).toEqual(["ended: unanswered"]);
  });
});

test("the first end of a session is final", () => {
  const acts = ["finish", "cancel", "shutDown"] as const;
  for (const first of acts) {
    const recorded = recordSession(defineProcessor({ name: "idle" }));
    recorded.session[first]();
    for (const act of acts) recorded.session[act]();
    recorded.receive(headersOf("requestHeaders"));
    expect(recorded.log).toEqual(["ended: completed"]);
    expect(recorded.observed).toEqual(["envoy ended: completed"]);
  }
});

describe("tx.signal", () => {
  test("tx.signal aborts when the transaction is over, in every kind of end", () => {
    for (const reply of [undefined, immediateResponse(403)]) {
      const signals: AbortSignal[] = [];
      const processor = defineProcessor({
        name: "watch",
        requestHeaders(_headers, tx) {
          signals.push(tx.signal, tx.signal);
          return reply;
        },
      });
      const recorded = recordSession(processor);
      recorded.receive(headersOf("requestHeaders"));
      recorded.session.finish();
      expect(signals[0]).toBe(signals[1]);
      expect(signals[0]?.aborted).toBe(true);
    }
  });

  test("tx.signal is already aborted if it is read after the end", async () => {
    const handler = deferred();
    const late: AbortSignal[] = [];
    const processor = defineProcessor({
      name: "late",
      requestHeaders: async (_headers, tx) => {
        await handler.promise;
        late.push(tx.signal);
      },
    });
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.cancel();
    handler.resolve();
    await nextTurn();
    expect(late.map((signal) => signal.aborted)).toEqual([true]);
  });

  test("tx.signal has no listeners of ours left after the end", () => {
    const { processor, signals } = slow();
    const recorded = recordSession(processor);
    recorded.receive(headersOf("requestHeaders"));
    recorded.session.cancel();
    expect(signals.flatMap((signal) => getEventListeners(signal, "abort"))).toEqual([]);
  });
});
