import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { compose, defineProcessor, type Processor, type ProcessorDefinition } from "../../src/processor/definition.ts";
import { runRules } from "../../src/processor/run-rules.ts";
import { CLOSE_TIMEOUT_MS, ProcessorSetup } from "../../src/session/setup.ts";
import { deferred, nextTurn } from "./deferred.ts";
import { ManualTimers } from "./manual-timers.ts";

function setUp(processor: Processor) {
  const told: string[] = [];
  const timers = new ManualTimers();
  const setup = new ProcessorSetup(
    runRules(processor),
    {
      ready: (name) => told.push(`${name} ready`),
      failed: (name, cause, retryMs) => told.push(`${name} failed (${(cause as Error).message}), again in ${retryMs}`),
      closeFailed: (name, cause) => told.push(`${name} close failed (${(cause as Error | undefined)?.message})`),
    },
    timers,
  );
  return { setup, timers, told };
}

function processorOf(definition: Partial<ProcessorDefinition<undefined>>): Processor {
  return defineProcessor({ name: "one", ...definition });
}

describe("a processor without setup", () => {
  test("a processor without setup is ready from the start", () => {
    const { setup } = setUp(processorOf({}));
    let ready = 0;
    setup.start(() => ready++);
    expect([setup.unready, ready]).toEqual([undefined, 1]);
  });
});

describe("setup", () => {
  test("setup may be synchronous", () => {
    const { setup, told } = setUp(processorOf({ setup: () => undefined }));
    expect(setup.unready?.code).toBe("not_ready");
    let ready = 0;
    setup.start(() => ready++);
    expect([setup.unready, ready, told]).toEqual([undefined, 1, ["one ready"]]);
  });

  test("a promise of setup from another realm is awaited", async () => {
    const gate = deferred();
    const OtherPromise: PromiseConstructor = runInNewContext("Promise");
    const { setup } = setUp(processorOf({ setup: () => OtherPromise.resolve(gate.promise) }));
    setup.start();
    await nextTurn();
    expect(setup.unready?.code).toBe("not_ready");
    gate.resolve();
    await nextTurn();
    expect(setup.unready).toBeUndefined();
  });

  test("the setup of every part is awaited", async () => {
    const gates = [deferred(), deferred()] as const;
    const { setup } = setUp(
      compose(
        defineProcessor({ name: "first", setup: () => gates[0].promise }),
        defineProcessor({ name: "second", onFault: "closed", setup: () => gates[1].promise }),
      ),
    );
    let ready = 0;
    setup.start(() => ready++);
    // The strictest policy of the processors that are not ready applies.
    expect(setup.unready).toMatchObject({ code: "not_ready", processor: "second", source: "handler" });
    gates[1].resolve();
    await nextTurn();
    expect(setup.unready).toMatchObject({ processor: "first" });
    gates[0].resolve();
    await nextTurn();
    expect([setup.unready, ready]).toEqual([undefined, 1]);
  });

  test("setup may be a thenable of another library", async () => {
    const gate = deferred();
    const thenable: unknown = new Proxy({}, { has: () => true, get: () => gate.promise.then.bind(gate.promise) });
    const { setup, told } = setUp(processorOf({ setup: () => thenable as Promise<void> }));
    setup.start();
    expect([setup.unready?.code, told]).toEqual(["not_ready", []]);
    gate.resolve();
    await nextTurn();
    expect([setup.unready, told]).toEqual([undefined, ["one ready"]]);
  });

  test("a setup that failed gives its reason in the fault", async () => {
    const cause = new Error("no database");
    const { setup } = setUp(processorOf({ setup: () => Promise.reject(cause) }));
    setup.start();
    expect(setup.unready?.cause).toBeUndefined();
    await nextTurn();
    expect(setup.unready).toMatchObject({ code: "not_ready", cause });
  });

  test("a setup that fails is tried again after 1 s and then twice as long each time, at most 30 s", async () => {
    let tries = 0;
    const { setup, timers, told } = setUp(
      processorOf({
        setup: () => {
          tries++;
          // Both ways to fail.
          if (tries % 2 === 0) throw new Error("thrown");
          return Promise.reject(new Error("rejected"));
        },
      }),
    );
    setup.start();
    const waits: number[] = [];
    for (let retry = 0; retry < 7; retry++) {
      await nextTurn();
      const before = tries;
      let waited = 0;
      while (tries === before && waited < 60_000) {
        timers.advance(500);
        waited += 500;
      }
      waits.push(waited);
    }
    expect(waits).toEqual([1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    expect(told[0]).toBe("one failed (rejected), again in 1000");
    expect(told[1]).toBe("one failed (thrown), again in 2000");
    expect(setup.unready?.code).toBe("not_ready");
  });

  test("a setup that works at last makes the processor ready", async () => {
    let tries = 0;
    const { setup, timers, told } = setUp(
      processorOf({ setup: async () => (++tries < 3 ? Promise.reject(new Error("no")) : undefined) }),
    );
    setup.start();
    for (const ms of [1000, 2000]) {
      await nextTurn();
      timers.advance(ms);
    }
    await nextTurn();
    expect([setup.unready, told.at(-1)]).toEqual([undefined, "one ready"]);
  });

  test("a setup learns by its signal that the server stops, and is not tried again", async () => {
    let signal: AbortSignal | undefined;
    const { setup, timers, told } = setUp(
      processorOf({
        setup(given) {
          signal = given;
          return new Promise<void>((_resolve, reject) => {
            given.addEventListener("abort", () => reject(given.reason));
          });
        },
      }),
    );
    setup.start();
    setup.abort();
    await nextTurn();
    expect([signal?.aborted, told, timers.count]).toEqual([true, [], 0]);
  });
});

describe("close", () => {
  test("close is called once, and what it throws is reported", async () => {
    let closed = 0;
    const { setup, told } = setUp(
      compose(
        defineProcessor({ name: "counting", close: () => void closed++ }),
        defineProcessor({
          name: "throwing",
          close: () => {
            throw new Error("no");
          },
        }),
        defineProcessor({ name: "rejecting", close: async () => Promise.reject(new Error("neither")) }),
      ),
    );
    await Promise.all([setup.close(), setup.close()]);
    expect([closed, told]).toEqual([1, ["throwing close failed (no)", "rejecting close failed (neither)"]]);
  });

  test("a close that never settles is awaited for at most 5 s", async () => {
    const { setup, timers, told } = setUp(processorOf({ close: () => new Promise(() => undefined) }));
    const closed = setup.close();
    timers.advance(CLOSE_TIMEOUT_MS);
    await closed;
    expect(told).toEqual(["one close failed (undefined)"]);
  });
});
