import { expect, test } from "vitest";
import { SharedTask } from "../../../src/server/metrics/shared-task.ts";
import { deferred } from "../../session/deferred.ts";

/** A task whose runs end when the test says so. */
function heldTask(limits?: ConstructorParameters<typeof SharedTask>[1]) {
  const runs: ReturnType<typeof deferred<number>>[] = [];
  const task = new SharedTask(() => {
    const run = deferred<number>();
    runs.push(run);
    return run.promise;
  }, limits);
  return { task, runs };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("callers before a run begins share the run, and callers during a run share the next one", async () => {
  const { task, runs } = heldTask();
  const [first, second] = [task.ask({}), task.ask({})];
  await turn();
  expect(runs).toHaveLength(1);
  const [third, fourth] = [task.ask({}), task.ask({})];
  runs[0]?.resolve(1);
  expect(await Promise.all([first, second])).toEqual([1, 1]);
  await expect.poll(() => runs.length).toBe(2);
  runs[1]?.resolve(2);
  expect(await Promise.all([third, fourth])).toEqual([2, 2]);
});

test("a run that fails rejects for all callers that wait for it, and the next run begins", async () => {
  const { task, runs } = heldTask();
  const [first, second] = [task.ask({}), task.ask({})];
  await turn();
  runs[0]?.reject(new Error("broken"));
  for (const asked of [first, second]) await expect(asked).rejects.toThrow("broken");
  const next = task.ask({});
  await expect.poll(() => runs.length).toBe(2);
  runs[1]?.resolve(2);
  expect(await next).toBe(2);
});

test("the number of waiting callers is limited for one connection and for all", async () => {
  const { task, runs } = heldTask({ maxWaiting: 5, maxWaitingOfConnection: 2 });
  const [one, other] = [{}, {}];
  const asked = [one, one, one, other, {}, {}, {}].map((connection) => task.ask(connection));
  expect(asked.map((result) => result !== undefined)).toEqual([true, true, false, true, true, true, false]);
  await turn();
  // The run has begun, so that others may wait for the next one.
  expect(task.ask(one)).toBeDefined();
  runs[0]?.resolve(1);
  await expect.poll(() => runs.length).toBe(2);
  runs[1]?.resolve(2);
});

test("a task that takes 100 ms runs at most a tenth of the time, however often callers ask", async () => {
  const busyMs = 30;
  const task = new SharedTask(async () => {
    const endMs = performance.now() + busyMs;
    while (performance.now() < endMs);
  });
  const endsMs: number[] = [];
  for (let asked = 0; asked < 6; asked++) {
    await task.ask({});
    endsMs.push(performance.now());
  }
  const gapMs = (from: number, to: number) => (endsMs[to] ?? 0) - (endsMs[from] ?? 0);
  // The fourth run takes time that was not saved up.
  expect(gapMs(0, 3)).toBeLessThan(gapMs(3, 5));
  // The time of the fifth run is saved up before the sixth one. A timer may fire a millisecond early.
  expect(gapMs(4, 5)).toBeGreaterThan(10 * busyMs - 1);
});
