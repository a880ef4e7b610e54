import { describe, expect, test } from "vitest";
import { defineProcessor, immediateResponse } from "../../src/index.ts";
import { type ThreadBlock, ThreadWatch } from "../../src/session/thread-watch.ts";
import { bodyModes, headersOf } from "../protocol/messages.ts";
import { ManualTimers } from "./manual-timers.ts";
import { recordSession } from "./recorded-session.ts";

/** A processor whose handler holds the thread for `x-hold-ms` milliseconds, under a watch. */
function held(onFault: "envoy" | "closed" = "envoy", refuses = false) {
  const timers = new ManualTimers();
  const holds: ThreadBlock[] = [];
  const threadWatch = new ThreadWatch(200, (hold) => holds.push(hold), timers);
  const processor = defineProcessor({
    name: "slow",
    onFault,
    requestHeaders(_headers, tx) {
      timers.hold(Number(tx.request.get("x-hold-ms")));
      return refuses ? immediateResponse(401) : undefined;
    },
  });
  const told: string[] = [];
  const ask = (ms: number) => {
    const recorded = recordSession(processor, {
      threadWatch,
      observer: {
        message: () => undefined,
        ended: ({ result }) => told.push(result),
        unenforced: (reason, _wanted, _origin, place) => told.push(`${reason} ${place?.processor} ${place?.phase}`),
        fault: ({ code }, outcome) => told.push(`${code} ${outcome}`),
      },
    });
    recorded.receive(headersOf("requestHeaders", [["x-hold-ms", String(ms)]], bodyModes("NONE")));
    return recorded.session;
  };
  return { timers, holds, ask, told };
}

describe("a handler that holds the thread for longer than Envoy waits", () => {
  test("a handler that holds the thread is noticed, and an answer that Envoy did not wait for is counted", () => {
    const { timers, holds, ask, told } = held();
    const session = ask(1500);
    timers.advance(0);
    expect(holds).toMatchObject([{ heldMs: 1450 }]);
    session.finish();
    expect(told).toEqual(["answer_too_late slow requestHeaders", "completed"]);
  });

  test("a handler that holds the thread is named from the second time on", () => {
    const { timers, holds, ask } = held();
    ask(1500);
    timers.advance(0);
    ask(300);
    expect(holds.at(-1)).toMatchObject({ heldMs: 300, processor: "slow", phase: "requestHeaders" });
  });

  test("a handler that holds the thread is a fault under the policy closed, which comes too late", () => {
    const { timers, ask, told } = held("closed");
    const session = ask(1500);
    timers.advance(0);
    session.finish();
    expect(told).toEqual(["answer_too_late too_late", "fault"]);
  });

  test("a handler that holds the thread sends its immediate response too late", () => {
    const { ask, told } = held("envoy", true);
    ask(1500);
    expect(told).toEqual(["answer_too_late slow requestHeaders", "immediate_response"]);
  });

  test("an immediate response that is too late is a fault under the policy closed", () => {
    const { ask, told } = held("closed", true);
    ask(1500);
    expect(told).toEqual(["answer_too_late too_late", "fault"]);
  });

  test("a handler that holds the thread makes waiting transactions late, and no later ones", () => {
    const { timers, ask, told } = held();
    ask(1500);
    timers.advance(0);
    ask(0).finish();
    expect(told).toEqual(["answer_too_late slow requestHeaders", "completed"]);
    timers.advance(1000);
    ask(0).finish();
    expect(told.slice(2)).toEqual(["completed"]);
  });
});

test("handlers are not timed again for ten minutes if none of them held the thread for a minute", () => {
  const timers = new ManualTimers();
  const holds: ThreadBlock[] = [];
  const watch = new ThreadWatch(200, (hold) => holds.push(hold), timers);
  const holdWithoutHandler = () => {
    watch.enter();
    timers.hold(500);
    timers.advance(0);
  };
  const workFor = (ms: number) => {
    for (let passedMs = 0; passedMs < ms; passedMs += 50) {
      watch.enter();
      timers.advance(50);
    }
  };
  holdWithoutHandler();
  expect([holds.length, holds.at(-1)?.isTimedNext, watch.isTiming]).toEqual([1, true, true]);
  workFor(60_100);
  expect(watch.isTiming).toBe(false);
  holdWithoutHandler();
  expect([holds.length, holds.at(-1)?.isTimedNext, watch.isTiming]).toEqual([2, false, false]);
  expect(watch.isBehindBlock).toBe(true);
  workFor(600_000);
  holdWithoutHandler();
  expect([holds.at(-1)?.isTimedNext, watch.isTiming]).toEqual([true, true]);
});

test("a handler that Envoy waits for is not noticed", () => {
  const { timers, holds, ask, told } = held();
  const session = ask(150);
  timers.advance(0);
  session.finish();
  expect([holds, told]).toEqual([[], ["completed"]]);
});

test("no timer runs while no messages come", () => {
  const { timers, ask } = held();
  ask(0).finish();
  timers.advance(200);
  expect(timers.count).toBe(0);
});
