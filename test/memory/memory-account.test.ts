import { expect, test } from "vitest";
import { DEFAULT_MEMORY_CAPS, MEMORY_KINDS, MemoryAccount } from "../../src/memory/memory-account.ts";
import { MemoryShare } from "../../src/memory/memory-share.ts";

test("a memory share takes bytes up to its cap, and refuses the byte above it without holding it", () => {
  const share = new MemoryShare("answers", 100);
  expect([share.take(60), share.take(40), share.take(1)]).toEqual([true, true, false]);
  expect(share).toMatchObject({ heldBytes: 100, peakBytes: 100, refusals: 1 });
  share.give(50);
  expect([share.take(51), share.take(50)]).toEqual([false, true]);
  expect(share).toMatchObject({ heldBytes: 100, peakBytes: 100, refusals: 2 });
  share.give(100);
  expect(share).toMatchObject({ heldBytes: 0, peakBytes: 100 });
});

test("a memory account has a share for each kind, with its default cap or the given one", () => {
  const account = new MemoryAccount({ debug: 5, answers: undefined });
  expect(account.shares.map(({ kind }) => kind)).toEqual(MEMORY_KINDS);
  expect(Object.fromEntries(account.shares.map(({ kind, maxBytes }) => [kind, maxBytes]))).toEqual({
    ...DEFAULT_MEMORY_CAPS,
    debug: 5,
  });
});
