import { describe, expect, test } from "vitest";
import { timedProcessor } from "../../../src/debug/timed-processor.ts";
import { defineProcessor, type Processor } from "../../../src/index.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";
import { sendIn } from "./upper.ts";

/** This many steps without an end are an endless loop, which would stop the whole process. */
const ENDLESS = 200_000;
const settle = () => new Promise((resolve) => setImmediate(resolve));
const BYTE = Uint8Array.of(1);

/**
 * An iterator that an author wrote: the results of `next`, and how it ends. It stops by itself only so that a test
 * can fail.
 */
function processorOf(next: (steps: number) => unknown, methods: object = {}) {
  const seen = { steps: 0 };
  const iterator = {
    next() {
      seen.steps++;
      return seen.steps > ENDLESS ? Promise.resolve({ done: true, value: undefined }) : next(seen.steps);
    },
    ...methods,
  };
  const handle = () => ({ [Symbol.asyncIterator]: () => iterator }) as unknown as AsyncIterable<Uint8Array>;
  const processor = defineProcessor({ name: "own", requestBody: { read: "stream", handle } });
  return { processor, seen };
}

async function begun(processor: Processor) {
  const recorded = recordSession(processor);
  recorded.session.receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")));
  recorded.session.receive(bodyOf("requestBody", new Uint8Array(10)));
  await settle();
  return recorded;
}

const kinds: [string, (processor: Processor) => Processor][] = [
  ["as it is", (processor) => processor],
  ["with its handlers timed", (processor) => timedProcessor(processor).processor],
];

describe.each(kinds)("the iterator of a stream handler, %s", (_kind, made) => {
  test.each([
    ["undefined", undefined],
    ["null", null],
    ["a number", 5],
    ["a string", "done"],
  ])("an iterator whose next() gives %s is a fault of its handler", async (_name, result) => {
    const { processor, seen } = processorOf(() => Promise.resolve(result));
    const { ends } = await begun(made(processor));
    await settle();
    expect(ends.map(({ error }) => error?.code)).toEqual(["handler_threw"]);
    expect(seen.steps).toBe(1);
  });

  test("an iterator may give a result without a promise, as for await allows", async () => {
    const { processor, seen } = processorOf((steps) => ({ done: steps === 2, value: BYTE }));
    const { ends } = await begun(made(processor));
    await settle();
    expect([seen.steps, ends]).toEqual([2, []]);
  });

  test.each([
    ["without return()", {}],
    ["whose return is null", { return: null }],
    ["whose return is not a function", { return: 5 }],
    [
      "whose return() throws",
      {
        return() {
          throw new Error("in return");
        },
      },
    ],
    ["whose return() never settles", { return: () => new Promise(() => {}) }],
  ])("%s ends with its transaction", async (_name, methods) => {
    const { processor, seen } = processorOf(() => settle().then(() => ({ done: false, value: undefined })), methods);
    const { session } = await begun(made(processor));
    session.cancel();
    await settle();
    await settle();
    const { steps } = seen;
    for (let turns = 0; turns < 20; turns++) await settle();
    expect(seen.steps).toBe(steps);
  });

  test("a loop that waits for nothing lets other transactions run, and ends with its transaction", async () => {
    const { processor, seen } = processorOf(() => Promise.resolve({ done: false, value: undefined }));
    const { session } = await begun(made(processor));
    expect(seen.steps).toBeLessThan(10_000);
    session.cancel();
    for (let turns = 0; turns < 20; turns++) await settle();
    expect(seen.steps).toBeLessThan(10_000);
  });
});

test.each(["STREAMED", "FULL_DUPLEX_STREAMED"] as const)(
  "what a loop yields after it has asked for the next chunk is not lost, in %s",
  async (mode) => {
    const ahead = defineProcessor({
      name: "ahead",
      requestBody: {
        read: "stream",
        async *handle(chunks) {
          const iterator = chunks[Symbol.asyncIterator]();
          let next = iterator.next();
          for (;;) {
            const { done, value } = await next;
            if (done) return;
            next = iterator.next();
            await settle();
            yield value;
          }
        },
      },
    });
    const { request, faults } = await sendIn(ahead, mode, { request: { chunks: ["a", "b", "c"], chunkIntervalMs: 5 } });
    expect(faults).toEqual([]);
    expect(request).toMatchObject({ body: "abc", complete: true });
  },
);

test("a yielded value that throws when it is read is a fault of its handler", async () => {
  const processor = defineProcessor({
    name: "p",
    requestBody: {
      read: "stream",
      async *handle(chunks) {
        for await (const _chunk of chunks) {
          yield new Proxy([], {
            get() {
              throw new Error("read");
            },
          }) as unknown as Uint8Array;
        }
      },
    },
  });
  const { faults } = await sendIn(processor, "FULL_DUPLEX_STREAMED", { request: { body: "a" } });
  expect(faults.map(({ code }) => code)).toEqual(["handler_threw"]);
});
