import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Health } from "../../../gen/grpc/health/v1/health_pb.js";
import { compose, defineProcessor, type Processor, replaceText } from "../../../src/index.ts";
import { BODY_CAPS, type BodyBudget, type OverLimit } from "../../../src/memory/body-budget.ts";
import type { BodyMode } from "../../../src/protocol/body-mode.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

const holder = (name: string, overLimit?: OverLimit, maxBytes = 1 << 20) =>
  defineProcessor({
    name,
    requestBody: { read: "text", maxBytes, overLimit, handle: (text) => replaceText(`${text.length}`) },
    responseBody: { read: "text", maxBytes, overLimit, handle: (text) => replaceText(`${text.length}`) },
  });
const whole = holder("p");

function begun(processor: Processor, budget: BodyBudget, mode: BodyMode, headers: HeaderPairs = []) {
  const recorded = recordSession(processor, { bodyBudget: budget });
  recorded.receive(headersOf("requestHeaders", headers, bodyModes(mode)));
  return recorded;
}

function stalled(budget: BodyBudget, bytes: number, mode: BodyMode = "FULL_DUPLEX_STREAMED") {
  const recorded = begun(whole, budget, mode);
  recorded.receive(bodyOf("requestBody", new Uint8Array(bytes)));
  return recorded;
}

/** The caps that were reached, with the outcome of the bodies. */
function refusals({ refusals: counts }: BodyBudget): Record<string, number> {
  const met = BODY_CAPS.flatMap((cap) => [
    [`${cap} reject`, counts[cap].reject] as const,
    [`${cap} pass`, counts[cap].pass] as const,
  ]);
  return Object.fromEntries(met.filter(([, count]) => count > 0));
}

test("bodies that stall stay within the total, and bodies beyond it are answered with 503", () => {
  const budget = budgetOf(1000);
  const sessions = Array.from({ length: 15 }, () => stalled(budget, 100));
  expect(budget.share.heldBytes).toBe(1000);
  expect(sessions.filter(({ ends }) => ends[0]?.fault?.code === "body_memory_exceeded")).toHaveLength(5);
  expect(sessions[14]?.answers[0]?.response.value).toMatchObject({ status: { code: 503 } });
  expect(refusals(budget)).toEqual({ "total reject": 5 });
  for (const { session } of sessions) session.cancel();
  expect(budget.share.heldBytes).toBe(0);
});

test("held bytes are given back at the end of a body, at a fault, and at a reset", () => {
  const budget = budgetOf(10_000_000);
  const ended = stalled(budget, 100);
  expect(budget.share.heldBytes).toBe(100);
  ended.receive(bodyOf("requestBody", new Uint8Array(20), { endOfStream: true }));
  expect(budget.share.heldBytes).toBe(0);
  expect(ended.log).toEqual(["requestHeaders", "requestBody"]);
  const tooLarge = stalled(budget, 1 << 20);
  tooLarge.receive(bodyOf("requestBody", new Uint8Array(1)));
  expect(tooLarge.ends[0]?.fault?.code).toBe("body_too_large");
  expect(refusals(budget)).toEqual({ "body reject": 1 });
  expect(budget.share.heldBytes).toBe(0);
});

test("bytes that a handler sees or keeps are not given back to be overwritten", () => {
  const { session } = recordSession(whole);
  session.receive(headersOf("requestHeaders", [], bodyModes("BUFFERED")));
  expect(session.receive(bodyOf("requestBody", new Uint8Array(10), { endOfStream: true }))).toBe(false);
});

describe("the bodies of one transaction", () => {
  test("the bodies of one transaction stay within its own cap, both directions together: 413 for a request", () => {
    const budget = budgetOf(1000, 150);
    const one = stalled(budget, 100);
    one.receive(bodyOf("requestBody", new Uint8Array(51)));
    expect(one.ends[0]?.fault).toMatchObject({
      code: "body_too_large",
      message: expect.stringContaining("maxHeldBodyBytesPerStream"),
    });
    expect(one.answers[0]?.response.value).toMatchObject({ status: { code: 413 } });
    const both = stalled(budget, 100);
    both.receive(headersOf("responseHeaders"), bodyOf("responseBody", new Uint8Array(51)));
    expect(both.answers[0]?.response.value).toMatchObject({ status: { code: 500 } });
    expect(refusals(budget)).toEqual({ "stream reject": 2 });
    expect(budget.share.heldBytes).toBe(0);
  });

  test("the bodies of one transaction are counted for each of composed handlers that hold them", () => {
    const budget = budgetOf(1000, 150);
    const composed = begun(compose(holder("a"), holder("b")), budget, "BUFFERED");
    composed.receive(bodyOf("requestBody", new Uint8Array(100), { endOfStream: true }));
    // The output of `a` is shorter than the body.
    expect(composed.log).toEqual(["requestHeaders", "requestBody"]);
    const lookers = ["a", "b"].map((name) =>
      defineProcessor({ name, requestBody: { read: "whole", handle: () => undefined } }),
    );
    const looking = begun(compose(...lookers), budget, "BUFFERED");
    looking.receive(bodyOf("requestBody", new Uint8Array(100), { endOfStream: true }));
    expect(looking.ends[0]?.fault?.code).toBe("body_too_large");
    expect(budget.share.heldBytes).toBe(0);
  });

  test("the bodies of one transaction leave room for other transactions", () => {
    const budget = budgetOf(1000, 150);
    for (let count = 0; count < 6; count++) stalled(budget, 150);
    expect(refusals(budget)).toEqual({});
  });
});

describe("a body that may pass", () => {
  test.each([
    ["body", budgetOf(1000), 50],
    ["stream", budgetOf(1000, 50), 200],
    ["total", budgetOf(50), 200],
  ] as const)("a body that may pass passes whole if %s has no room for it", (cap, budget, maxBytes) => {
    const sent = begun(holder("p", "pass", maxBytes), budget, "FULL_DUPLEX_STREAMED");
    sent.receive(
      bodyOf("requestBody", new Uint8Array(40)),
      bodyOf("requestBody", new Uint8Array(40), { endOfStream: true }),
    );
    expect(sent.log).toEqual(["requestHeaders", "requestBody", "requestBody"]);
    expect(refusals(budget)).toEqual({ [`${cap} pass`]: 1 });
    expect(budget.share.heldBytes).toBe(0);
  });

  test("a body that may pass leaves as it came if it is too large after decoding", async () => {
    for (const [cap, budget, maxBytes] of [
      ["body", budgetOf(1 << 20), 10_000],
      ["stream", budgetOf(1 << 20, 10_000), 1 << 20],
      ["total", budgetOf(10_000), 1 << 20],
    ] as const) {
      for (const size of [100_000, 900_000]) {
        const zipped = gzipSync(new Uint8Array(size));
        const sent = begun(holder("p", "pass", maxBytes), budget, "BUFFERED", [["content-encoding", "gzip"]]);
        sent.receive(bodyOf("requestBody", zipped, { endOfStream: true }));
        await expect.poll(() => sent.log).toEqual(["requestHeaders", "requestBody"]);
        expect(sent.answers[1]?.response.value).toEqual(
          expect.not.objectContaining({ response: expect.objectContaining({ bodyMutation: expect.anything() }) }),
        );
      }
      expect(refusals(budget)).toEqual({ [`${cap} pass`]: 2 });
      expect(budget.share.heldBytes).toBe(0);
    }
  });
});

test("decoded bytes are held too, and given back when their handler is done", async () => {
  const budget = budgetOf(1 << 20);
  let release = () => {};
  const processor = defineProcessor({
    name: "p",
    requestBody: { read: "whole", handle: () => new Promise<void>((resolve) => (release = resolve)) },
  });
  const zipped = gzipSync(new Uint8Array(100_000));
  const sent = begun(processor, budget, "BUFFERED", [["content-encoding", "gzip"]]);
  sent.receive(bodyOf("requestBody", zipped, { endOfStream: true }));
  await expect.poll(() => budget.share.heldBytes).toBe(zipped.length + 100_000);
  release();
  await expect.poll(() => budget.share.heldBytes).toBe(0);
});

test("the beginning of a gRPC message is held as well", () => {
  const processor = defineProcessor({
    name: "p",
    grpc: { service: Health, methods: { check: { request: () => undefined } } },
  });
  const budget = budgetOf(1000);
  const call = () =>
    begun(processor, budget, "STREAMED", [
      [":path", "/grpc.health.v1.Health/Check"],
      ["content-type", "application/grpc"],
    ]);
  const beginning = new Uint8Array(600).fill(0, 0, 4);
  new DataView(beginning.buffer).setUint32(1, 5000);
  const held = call();
  held.receive(bodyOf("requestBody", beginning));
  expect(budget.share.heldBytes).toBe(600);
  const refused = call();
  refused.receive(bodyOf("requestBody", beginning));
  expect(refused.ends[0]?.fault?.code).toBe("body_memory_exceeded");
  expect(refusals(budget)).toEqual({ "total reject": 1 });
  held.session.cancel();
  expect(budget.share.heldBytes).toBe(0);
});

test("a body of which Envoy sends only the beginning is counted", () => {
  const budget = budgetOf(1000);
  const sent = begun(whole, budget, "BUFFERED_PARTIAL");
  sent.receive(bodyOf("requestBody", new Uint8Array(10)));
  expect(sent.ends[0]?.fault?.code).toBe("body_too_large");
  expect(refusals(budget)).toEqual({ "envoy reject": 1 });
});

test("chunks above maxBytes are counted once", () => {
  for (const overLimit of ["reject", "pass"] as const) {
    const budget = budgetOf(1000);
    const processor = defineProcessor({
      name: "p",
      requestBody: { read: "chunks", maxBytes: 10, overLimit, chunk: () => undefined },
    });
    const sent = begun(processor, budget, "STREAMED");
    for (let count = 0; count < 3; count++) sent.receive(bodyOf("requestBody", new Uint8Array(10)));
    expect(refusals(budget)).toEqual({ [`body ${overLimit}`]: 1 });
  }
});
