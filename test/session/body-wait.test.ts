import { describe, expect, test } from "vitest";
import { defineProcessor, type FaultPolicy } from "../../src/index.ts";
import { declareEnvoy } from "../../src/protocol/envoy-declaration.ts";
import { bodyModes, bodyOf, headersOf } from "../protocol/messages.ts";
import { ManualTimers } from "./manual-timers.ts";
import { recordSession } from "./recorded-session.ts";

const DECLARED = { allowModeOverride: true, bufferLimitBytes: 1 << 20, overriddenBodyTimeoutMs: 1000 };
const handler = { read: "text", handle: () => undefined } as const;

function waiting(direction: "request" | "response", onFault: FaultPolicy = "open") {
  const timers = new ManualTimers();
  const processor = defineProcessor({ name: "p", onFault, [`${direction}Body`]: handler });
  const recorded = recordSession(processor, { declaration: declareEnvoy(DECLARED), timers });
  const length = [["content-length", "4"]] as const;
  const none = bodyModes("NONE", "NONE");
  if (direction === "request") recorded.receive(headersOf("requestHeaders", length, none));
  else {
    recorded.receive(headersOf("requestHeaders", [], { endOfStream: true, ...none }));
    recorded.receive(headersOf("responseHeaders", length));
  }
  return { ...recorded, timers };
}

describe("a body under an override to BUFFERED", () => {
  test.each<["request" | "response", FaultPolicy, number]>([
    ["request", "open", 408],
    ["request", "envoy", 408],
    ["request", "closed", 408],
    ["response", "open", 504],
    ["response", "envoy", 504],
  ])(
    "a body that Envoy does not send is fault body_stalled of a %s under onFault %s, with status %i",
    (direction, onFault, code) => {
      const { timers, answers, ends } = waiting(direction, onFault);
      timers.advance(999);
      expect(ends).toEqual([]);
      timers.advance(1);
      expect(answers.at(-1)?.response).toMatchObject({ case: "immediateResponse", value: { status: { code } } });
      expect(ends[0]?.fault).toMatchObject({
        code: "body_stalled",
        message: expect.stringContaining("envoy.bufferLimitBytes"),
      });
      expect(timers.count).toBe(0);
    },
  );

  test("a body that comes in time is not a fault", () => {
    const { timers, receive, ends } = waiting("request");
    receive(bodyOf("requestBody", "abcd", { endOfStream: true }));
    timers.advance(10_000);
    expect(ends).toEqual([]);
  });

  test("a body costs no timer once the transaction is over", () => {
    const { timers, session } = waiting("request");
    expect(timers.count).toBe(1);
    session.cancel();
    expect(timers.count).toBe(0);
  });
});

test("an override to another mode costs no timer", () => {
  const timers = new ManualTimers();
  const processor = defineProcessor({ name: "p", requestBody: { read: "inspect", chunk: () => undefined } });
  const { receive, answers } = recordSession(processor, { declaration: declareEnvoy(DECLARED), timers });
  receive(headersOf("requestHeaders", [["content-length", "4"]], bodyModes("NONE", "NONE")));
  expect(answers[0]?.modeOverride).toBeDefined();
  expect(timers.count).toBe(0);
});
