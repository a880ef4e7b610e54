import { describe, expect, test } from "vitest";
import {
  createLineSplitter,
  createSseSplitter,
  defineProcessor,
  jsonLines,
  lines,
  replacedChunks,
  sseEvents,
} from "../../../src/index.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { nextTurn } from "../deferred.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

const KIB = 1 << 10;
/** Half a line and half an event. */
const HALF = new Uint8Array(100 * KIB).fill(65);

const loop = (items: (chunks: AsyncIterable<Uint8Array>) => AsyncIterable<{ readonly raw: Uint8Array }>) =>
  ({
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      for await (const { raw } of items(chunks)) yield raw;
    },
  }) as const;
const pushed = (create: typeof createLineSplitter | typeof createSseSplitter) => ({
  state: () => ({ splitter: create() }),
  requestBody: {
    read: "chunks",
    chunk(
      bytes: Uint8Array,
      { state }: { state: { splitter: { push(chunk: Uint8Array): readonly { raw: Uint8Array }[] } } },
    ) {
      return new Uint8Array(Buffer.concat(state.splitter.push(bytes).map(({ raw }) => raw)));
    },
  },
});

const HANDLERS: Readonly<Record<string, object>> = {
  "lines()": { requestBody: loop((chunks) => lines(chunks)) },
  "jsonLines()": { requestBody: loop((chunks) => jsonLines(chunks)) },
  "sseEvents()": { requestBody: loop((chunks) => sseEvents(chunks)) },
  "createLineSplitter()": pushed(createLineSplitter),
  "createSseSplitter()": pushed(createSseSplitter),
};

describe.each(Object.entries(HANDLERS))("bytes that %s holds back", (_, definition) => {
  const processor = defineProcessor({ name: "p", ...definition } as never);

  test("bytes held back count as held until the item is complete, or the transaction over", async () => {
    const budget = budgetOf(1 << 20);
    for (const ends of ["item", "reset"] as const) {
      const { session, receive, log } = recordSession(processor, { bodyBudget: budget });
      receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")), bodyOf("requestBody", HALF));
      await nextTurn();
      expect(budget.share.heldBytes).toBeGreaterThanOrEqual(HALF.length);
      if (ends === "item") receive(bodyOf("requestBody", "\n\n"));
      else session.cancel();
      await nextTurn();
      expect(budget.share.heldBytes).toBe(0);
      if (ends === "item") expect(log.includes("requestBody")).toBe(true);
      session.cancel();
    }
  });

  test("bytes held back beyond the total are refused with 503", async () => {
    const budget = budgetOf(1 << 20);
    const all = Array.from({ length: 20 }, () => recordSession(processor, { bodyBudget: budget }));
    // Complete items before it do not delay the refusal: otherwise these bytes would be held without being counted.
    const bytes = new Uint8Array(Buffer.concat([Buffer.from("a\n\n"), HALF]));
    for (const { receive } of all) {
      receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")), bodyOf("requestBody", bytes));
      await nextTurn();
    }
    const ended = all.filter(({ ends }) => ends.length > 0);
    expect(ended.length).toBeGreaterThanOrEqual(10);
    expect(new Set(ended.map(({ ends }) => ends[0]?.fault?.code))).toEqual(new Set(["body_memory_exceeded"]));
    expect(budget.share.peakBytes).toBeLessThanOrEqual(1 << 20);
    for (const { session } of all) session.cancel();
    await nextTurn();
    expect(budget.share.heldBytes).toBe(0);
  });
});

test("bytes that a replacer holds back count as held, and beyond the total they are refused with 503", async () => {
  const budget = budgetOf(512 * KIB);
  const processor = defineProcessor({
    name: "p",
    requestBody: {
      read: "stream",
      handle: (chunks) => replacedChunks(chunks, { pattern: /x+/, maxMatchBytes: 60 * KIB, replacement: "y" }),
    },
  });
  const all = Array.from({ length: 20 }, () => recordSession(processor, { bodyBudget: budget }));
  for (const { receive } of all) {
    receive(headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED")), bodyOf("requestBody", HALF));
    await nextTurn();
  }
  const ended = all.filter(({ ends }) => ends.length > 0);
  expect(ended.length).toBeGreaterThanOrEqual(10);
  expect(new Set(ended.map(({ ends }) => ends[0]?.fault?.code))).toEqual(new Set(["body_memory_exceeded"]));
  for (const { session } of all) session.cancel();
  await nextTurn();
  expect(budget.share.heldBytes).toBe(0);
});
