import { expect, test } from "vitest";
import { defineProcessor, immediateResponse, replaceText } from "../../../src/index.ts";
import { BodyBudget } from "../../../src/processor/body/body-budget.ts";
import type { BodyMode } from "../../../src/protocol/body-mode.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";

const whole = defineProcessor({
  name: "p",
  requestBody: { read: "text", maxBytes: 1 << 20, handle: (text) => replaceText(`${text.length}`) },
});

function stalled(budget: BodyBudget, bytes: number, mode: BodyMode = "FULL_DUPLEX_STREAMED") {
  const recorded = recordSession(whole, { bodyBudget: budget });
  recorded.receive(headersOf("requestHeaders", [], bodyModes(mode)), bodyOf("requestBody", new Uint8Array(bytes)));
  return recorded;
}

test("bodies that stall stay within the total, and those beyond it are answered 503", () => {
  const budget = new BodyBudget(1000);
  const sessions = Array.from({ length: 15 }, () => stalled(budget, 100));
  expect(budget.heldBytes).toBe(1000);
  expect(sessions.filter(({ ends }) => ends[0]?.fault?.code === "body_memory_exceeded")).toHaveLength(5);
  expect(sessions[14]?.answers[0]?.response.value).toMatchObject({ status: { code: 503 } });
  for (const { session } of sessions) session.cancel();
  expect(budget.heldBytes).toBe(0);
});

test("what is held is given back at the end of a body, a fault, and a reset", () => {
  const budget = new BodyBudget(10_000_000);
  const ended = stalled(budget, 100);
  expect(budget.heldBytes).toBe(100);
  ended.receive(bodyOf("requestBody", new Uint8Array(20), { endOfStream: true }));
  expect(budget.heldBytes).toBe(0);
  expect(ended.log).toEqual(["requestHeaders", "requestBody"]);
  const tooLarge = stalled(budget, 1 << 20);
  tooLarge.receive(bodyOf("requestBody", new Uint8Array(1)));
  expect(tooLarge.ends[0]?.fault?.code).toBe("body_too_large");
  expect(budget.heldBytes).toBe(0);
});

test("bytes that a handler sees, or that are kept, are not given back to be written over", () => {
  const { session } = recordSession(whole);
  session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
  expect(session.receive(bodyOf("requestBody", new Uint8Array(10), { endOfStream: true }))).toBe(false);
});

test("nor are those that a handler has kept before it ended the transaction", () => {
  const keeps = (handle: () => undefined) =>
    defineProcessor({ name: "p", onFault: "open", requestBody: { read: "chunks", chunk: handle } });
  const denies = defineProcessor({ name: "p", requestBody: { read: "whole", handle: () => immediateResponse(202) } });
  const throws = keeps(() => {
    throw new Error("after it kept them");
  });
  for (const processor of [denies, throws]) {
    const { session } = recordSession(processor);
    session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
    expect(session.receive(bodyOf("requestBody", new Uint8Array(10), { endOfStream: true }))).toBe(false);
  }
});
