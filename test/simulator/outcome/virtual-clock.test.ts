import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../../src/simulator/outcome/virtual-clock.ts";

describe("VirtualClock", () => {
  test("does what is due at one time in the order in which it was asked for", () => {
    const clock = new VirtualClock();
    const done: string[] = [];
    for (const [delay, name] of [
      [5, "c"],
      [1, "a"],
      [5, "d"],
      [1, "b"],
    ] as const)
      clock.after(delay, () => done.push(name));
    while (clock.advance());
    expect(done.join("")).toBe("abcd");
    expect(clock.nowMs).toBe(5);
  });

  test("does not move by itself", () => {
    const clock = new VirtualClock();
    clock.after(10, () => {});
    expect(clock.runReady()).toBe(false);
    expect(clock.nowMs).toBe(0);
    expect(clock.nextTimerMs).toBe(10);
  });

  test("does what was asked for meanwhile in the same turn, after all the rest", () => {
    const clock = new VirtualClock();
    const done: number[] = [];
    clock.soon(() => {
      done.push(1);
      clock.soon(() => done.push(3));
    });
    clock.soon(() => done.push(2));
    clock.runReady();
    expect(done).toEqual([1, 2, 3]);
  });

  test("forgets what was cancelled", () => {
    const clock = new VirtualClock();
    const timer = clock.after(1, () => expect.unreachable());
    timer.cancel();
    expect(clock.nextTimerMs).toBeUndefined();
    expect(clock.advance()).toBe(false);
  });

  test("takes a delay below zero for none", () => {
    const clock = new VirtualClock();
    clock.after(-5, () => {});
    expect(clock.nextTimerMs).toBe(0);
  });
});
