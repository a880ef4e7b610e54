import { expect, test } from "vitest";
import { DebugGate } from "../../../src/services/debug/debug-gate.ts";
import type { Problem } from "../../../src/text/problem.ts";

function gateAt(clock: { nowMs: number }) {
  return new DebugGate({ maxConcurrentCalls: 2, maxCallsPerSecond: 10 }, () => clock.nowMs);
}

function leave(entered: (() => void) | Problem): void {
  if ("problem" in entered) throw new Error(entered.problem);
  entered();
}

test("the debug gate passes two seconds' calls at once, then as many as the rate allows", () => {
  const clock = { nowMs: 0 };
  const gate = gateAt(clock);
  for (let call = 0; call < 20; call++) leave(gate.enter());
  expect(gate.enter()).toEqual({ problem: "more than 10 debug calls a second, which is the limit; slow down" });
  clock.nowMs = 99;
  expect(gate.enter()).toHaveProperty("problem");
  clock.nowMs = 200;
  leave(gate.enter());
  leave(gate.enter());
  expect(gate.enter()).toHaveProperty("problem");
});

test("the debug gate saves up at most two seconds' calls in a long pause", () => {
  const clock = { nowMs: 0 };
  const gate = gateAt(clock);
  clock.nowMs = 3_600_000;
  for (let call = 0; call < 20; call++) leave(gate.enter());
  expect(gate.enter()).toHaveProperty("problem");
});

test("a debug call that ends makes room for one other call, also if it ends twice", () => {
  const gate = gateAt({ nowMs: 0 });
  const first = gate.enter();
  leave(gate.enter());
  gate.enter();
  expect(gate.enter()).toEqual({ problem: "2 debug calls are running, which is the limit; wait for one of them" });
  leave(first);
  leave(first);
  expect(gate.enter()).toBeTypeOf("function");
  expect(gate.enter()).toHaveProperty("problem");
});

test("a debug call that waits for room gets it in time, or ends with its signal", async () => {
  const gate = new DebugGate({ maxCallsPerSecond: 50 });
  while (gate.take());
  await gate.room(new AbortController().signal);
  while (gate.take());
  await gate.room(AbortSignal.abort());
});
