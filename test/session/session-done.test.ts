import { describe, expect, test } from "vitest";
import { compose, defineProcessor } from "../../src/processor/definition.ts";
import { immediateResponse } from "../../src/processor/effects.ts";
import type { TransactionEnd } from "../../src/processor/transaction.ts";
import { headersOf, trailersOf } from "../protocol/messages.ts";
import { nextTurn } from "./deferred.ts";
import { ManualTimers } from "./manual-timers.ts";
import { recordSession } from "./recorded-session.ts";

function counting() {
  const outcomes: (TransactionEnd & { readonly seen: number })[] = [];
  const processor = defineProcessor({
    name: "counting",
    state: () => ({ seen: 0 }),
    requestHeaders(_headers, tx) {
      tx.state.seen++;
      if (tx.request.get("x-wait")) return new Promise<undefined>(() => undefined);
      return tx.request.get("x-guard") ? immediateResponse(403) : undefined;
    },
    responseHeaders(_headers, tx) {
      tx.state.seen++;
      throw new Error("no");
    },
    done: (tx, outcome) => outcomes.push({ ...outcome, seen: tx.state.seen }),
  });
  return { processor, outcomes };
}

describe("done", () => {
  test("done is called once with the end of the transaction, its state and its duration", () => {
    const { processor, outcomes } = counting();
    const timers = new ManualTimers();
    const { session, receive } = recordSession(processor, { timers });
    receive(headersOf("requestHeaders"));
    timers.advance(40);
    session.finish();
    session.cancel();
    expect(outcomes).toEqual([{ result: "completed", fault: undefined, durationMs: 40, seen: 1 }]);
  });

  test.each([
    ["immediate_response", [headersOf("requestHeaders", [["x-guard", "1"]])]],
    ["fault", [headersOf("requestHeaders"), headersOf("responseHeaders")]],
    ["unanswered", [headersOf("requestHeaders", [["x-wait", "1"]])]],
  ] as const)("done gets the result of %s", (result, messages) => {
    const { processor, outcomes } = counting();
    const { session, receive } = recordSession(processor, { timers: new ManualTimers() });
    receive(...messages);
    session.cancel();
    expect(outcomes).toMatchObject([{ result }]);
    expect(outcomes[0]?.fault?.code).toBe(result === "fault" ? "handler_threw" : undefined);
  });

  test("done is not called if no handler of its processor ran", () => {
    const { processor, outcomes } = counting();
    const { session, receive } = recordSession(processor);
    receive(trailersOf("requestTrailers"));
    session.finish();
    recordSession(processor).session.cancel();
    expect(outcomes).toEqual([]);
  });

  test("done is called for each processor, and one that throws does not affect the others", async () => {
    const failures: string[] = [];
    const throwing = defineProcessor({
      name: "throwing",
      requestHeaders: () => undefined,
      done: () => {
        throw new Error("no");
      },
    });
    const rejecting = defineProcessor({
      name: "rejecting",
      requestHeaders: () => undefined,
      done: async () => Promise.reject(new Error("no")),
    });
    const { processor, outcomes } = counting();
    const { session, receive, ends } = recordSession(compose(throwing, rejecting, processor), {
      observer: {
        message: () => undefined,
        ended: () => undefined,
        doneFailed: (name) => failures.push(name),
      },
    });
    receive(headersOf("requestHeaders"));
    session.finish();
    await nextTurn();
    expect([ends, outcomes.length, failures]).toEqual([[{ result: "completed" }], 1, ["throwing", "rejecting"]]);
  });
});
