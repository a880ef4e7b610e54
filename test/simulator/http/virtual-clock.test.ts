import { describe, expect, test } from "vitest";
import { VirtualClock } from "../../../src/simulator/http/virtual-clock.ts";

describe("VirtualClock", () => {
  test("VirtualClock runs actions of one time in the order of their requests", () => {
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

  test("VirtualClock does not move by itself", () => {
    const clock = new VirtualClock();
    clock.after(10, () => {});
    expect(clock.runReady()).toBe(false);
    expect(clock.nowMs).toBe(0);
    expect(clock.nextTimerMs).toBe(10);
  });

  test("VirtualClock runs new actions of the same time in the same turn, after all others", () => {
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

  test("VirtualClock forgets what was cancelled", () => {
    const clock = new VirtualClock();
    const timer = clock.after(1, () => expect.unreachable());
    timer.cancel();
    expect(clock.nextTimerMs).toBeUndefined();
    expect(clock.advance()).toBe(false);
  });

  test("VirtualClock takes a negative delay for 0", () => {
    const clock = new VirtualClock();
    clock.after(-5, () => {});
    expect(clock.nextTimerMs).toBe(0);
  });
});
