import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { brotliTurns } from "../../../src/bodies/coding/brotli-turns.ts";
import { type Coding, supportedCodings } from "../../../src/bodies/coding/content-encoding.ts";
import { createEncoder } from "../../../src/bodies/coding/encoder.ts";
import { defineProcessor, type Processor } from "../../../src/index.ts";
import type { BodyBudget, OverLimit } from "../../../src/memory/body-budget.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { nextTurn } from "../deferred.ts";
import { ManualTimers } from "../manual-timers.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

const MIB = 1 << 20;
const KINDS = {
  inspect: { read: "inspect", chunk: () => undefined },
  chunks: { read: "chunks", chunk: (bytes: Uint8Array) => bytes },
  stream: {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      yield* chunks;
    },
  },
} as const;
type Kind = keyof typeof KINDS;

const processorOf = (kind: Kind, overLimit?: OverLimit) =>
  defineProcessor({ name: "p", requestBody: { ...KINDS[kind], overLimit } as never });

/** The largest window, 16 MiB. */
function brotli(bytes: Uint8Array): Uint8Array {
  return brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_LGWIN]: 24, [constants.BROTLI_PARAM_QUALITY]: 1 },
  });
}

const ZEROS = brotli(new Uint8Array(20 * MIB));

/** The beginning of a body whose window is as large as HTTP allows, or as the coding supports. */
function largest(coding: Coding): Uint8Array {
  switch (coding) {
    case "br":
      // No output comes yet that could be too large.
      return ZEROS.subarray(0, 2);
    case "zstd":
      // A frame header with a window of 8 MiB, and a block of 128 KiB of one byte each (RFC 8878 section 3.1.1).
      return Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 13 << 3, 0x02, 0x00, 0x10, 65);
    default:
      return gzipSync("hello hello").subarray(0, 12);
  }
}

const WINDOWS: Readonly<Record<Coding, number>> = { br: 16 * MIB, zstd: 8 * MIB, gzip: 32 << 10, deflate: 32 << 10 };

function stall(processor: Processor, codings: readonly Coding[], bytes: Uint8Array, bodyBudget: BodyBudget) {
  // A handler that waits for a busy machine must not time out.
  const recorded = recordSession(processor, { bodyBudget, timers: new ManualTimers() });
  const coding = ["content-encoding", codings.join(", ")] as const;
  recorded.receive(headersOf("requestHeaders", [coding], bodyModes("FULL_DUPLEX_STREAMED")));
  recorded.receive(bodyOf("requestBody", Uint8Array.from(bytes)));
  return recorded;
}

/**
 * A slow machine would refuse some bodies because their turn comes too late. The tests that use it come first: a decoder of
 * another test may have a rest that would not end.
 */
function stopTheClock(): void {
  vi.useFakeTimers({ toFake: ["performance"] });
  onTestFinished(() => void vi.useRealTimers());
}

test("a short brotli body counts its own length, not its window", async () => {
  stopTheClock();
  const budget = budgetOf(64 * MIB);
  const short = brotliCompressSync(Buffer.from("hello ".repeat(1000)));
  const all = Array.from({ length: 30 }, () => stall(processorOf("inspect"), ["br"], short.subarray(0, 10), budget));
  await nextTurn();
  expect(all.flatMap(({ ends }) => ends)).toEqual([]);
  for (const { session } of all) session.cancel();
});

test("100 stalled brotli bodies hold no more than the total", async () => {
  stopTheClock();
  const budget = budgetOf(64 * MIB);
  const all = Array.from({ length: 100 }, () => stall(processorOf("inspect"), ["br"], largest("br"), budget));
  await expect.poll(() => all.filter(({ ends }) => ends.length > 0).length).toBe(97);
  expect(budget.share.peakBytes).toBeLessThanOrEqual(64 * MIB);
  expect(all.flatMap(({ ends }) => ends.map(({ fault }) => fault?.code))).toEqual(
    Array(97).fill("body_memory_exceeded"),
  );
  for (const { session } of all) session.cancel();
  await expect.poll(() => budget.share.heldBytes).toBe(0);
});

const rows = (Object.keys(KINDS) as Kind[]).flatMap((kind) =>
  supportedCodings()
    .filter((coding) => coding !== "deflate")
    .map((coding) => [coding, kind] as const),
);

describe.each(rows)("a %s decoder for a handler with read: %s", (coding, kind) => {
  test("a decoder counts its window as held from its first bytes until the transaction ends", async () => {
    const budget = budgetOf(256 * MIB);
    const { session } = stall(processorOf(kind), [coding], largest(coding), budget);
    await expect.poll(() => budget.share.heldBytes).toBeGreaterThanOrEqual(WINDOWS[coding]);
    expect(budget.share.heldBytes).toBeLessThan(WINDOWS[coding] + 6 * MIB);
    session.cancel();
    await expect.poll(() => budget.share.heldBytes).toBe(0);
  });

  test("a decoder beyond the total is refused with 503, and beyond the limit of its stream with 413", async () => {
    for (const [max, maxStream, status, code] of [
      [WINDOWS[coding], 256 * MIB, 503, "body_memory_exceeded"],
      [256 * MIB, WINDOWS[coding], 413, "body_too_large"],
    ] as const) {
      const budget = budgetOf(max, maxStream);
      const { ends, answers } = stall(processorOf(kind), [coding], largest(coding), budget);
      await expect.poll(() => ends[0]?.fault?.code).toBe(code);
      expect(answers.at(-1)?.response.value).toMatchObject({ status: { code: status } });
      await nextTurn();
      expect(budget.share.heldBytes).toBe(0);
    }
  });
});

test("the windows of stacked codings are added up", async () => {
  const budget = budgetOf(256 * MIB, 32 * MIB);
  // Decoders of the tests before may still rest; a body that comes meanwhile is refused for another reason.
  const endOfOne = async () => {
    const { ends } = stall(processorOf("inspect"), ["br", "br"], brotli(ZEROS), budget);
    await expect.poll(() => ends[0]?.fault?.code).toBeDefined();
    return ends[0]?.fault?.code;
  };
  await expect.poll(endOfOne, { timeout: 5000 }).toBe("body_too_large");
  await nextTurn();
  expect(budget.share.heldBytes).toBe(0);
});

test("a later zstd frame with a larger window is counted when its header is there", async ({ skip }) => {
  if (!supportedCodings().includes("zstd")) skip("this Node has no zstd");
  const small = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, 0, 0, 0x01, 0x00, 0x00);
  const budget = budgetOf(4 * MIB);
  const { ends, receive } = stall(processorOf("inspect"), ["zstd"], small, budget);
  await expect.poll(() => budget.share.heldBytes).toBeLessThan(MIB);
  receive(bodyOf("requestBody", largest("zstd")));
  await expect.poll(() => ends[0]?.fault?.code).toBe("body_memory_exceeded");
  expect(budget.share.heldBytes).toBe(0);
});

test.each(["inspect", "chunks"] as const)(
  "with overLimit: pass a body goes on as it came past an %s handler whose decoder has no room",
  async (kind) => {
    const budget = budgetOf(4 * MIB);
    const recorded = recordSession(processorOf(kind, "pass"), { bodyBudget: budget });
    recorded.receive(
      headersOf("requestHeaders", [["content-encoding", "br"]], bodyModes("FULL_DUPLEX_STREAMED")),
      bodyOf("requestBody", Uint8Array.from(ZEROS), { endOfStream: true }),
    );
    await expect.poll(() => recorded.answers.length).toBeGreaterThan(1);
    expect(recorded.ends).toEqual([]);
    expect(Buffer.concat(recorded.answers.map(streamedBody)).equals(ZEROS)).toBe(true);
    expect(budget.refusals.total).toEqual({ reject: 0, pass: 1 });
    recorded.session.finish();
    expect(budget.share.heldBytes).toBe(0);
  },
);

test.each(["inspect", "chunks"] as const)(
  "with overLimit: pass a body goes on as it came past an %s handler whose decoder's turn comes too late",
  async (kind) => {
    vi.useFakeTimers({ toFake: ["performance"] });
    onTestFinished(() => void vi.useRealTimers());
    brotliTurns.begin({ begin: () => undefined, refuse: () => undefined });
    const budget = budgetOf(256 * MIB);
    const recorded = recordSession(processorOf(kind, "pass"), { bodyBudget: budget });
    recorded.receive(
      headersOf("requestHeaders", [["content-encoding", "br"]], bodyModes("FULL_DUPLEX_STREAMED")),
      bodyOf("requestBody", Uint8Array.from(ZEROS), { endOfStream: true }),
    );
    await nextTurn();
    vi.advanceTimersByTime(101);
    brotliTurns.end();
    await expect.poll(() => recorded.answers.length).toBeGreaterThan(1);
    expect(recorded.ends).toEqual([]);
    expect(Buffer.concat(recorded.answers.map(streamedBody)).equals(ZEROS)).toBe(true);
    expect(budget.refusals.total).toEqual({ reject: 0, pass: 1 });
    recorded.session.finish();
    expect(budget.share.heldBytes).toBe(0);
  },
);

test("an encoder counts its memory until it has ended or is closed", async () => {
  for (const coding of supportedCodings()) {
    const budget = budgetOf(8 * MIB);
    const room = {
      take: (bytes: number) => budget.share.take(bytes),
      give: (bytes: number) => budget.share.give(bytes),
    };
    for (const end of ["end", "close"] as const) {
      const encoder = createEncoder([coding], { room });
      await encoder.push(Buffer.from("hello"));
      expect(budget.share.heldBytes).toBeGreaterThan(256 << 10);
      await encoder[end]();
      expect(budget.share.heldBytes).toBe(0);
    }
    expect(budget.share.take(8 * MIB)).toBe(true);
    expect(await createEncoder([coding], { room }).push(Buffer.from("hello"))).toMatchObject({ code: "no_room" });
  }
});

function streamedBody({ response }: ReturnType<typeof recordSession>["answers"][number]): Uint8Array {
  if (response.case !== "requestBody") return new Uint8Array(0);
  const mutation = response.value.response?.bodyMutation?.mutation;
  return mutation?.case === "streamedResponse" ? mutation.value.body : new Uint8Array(0);
}
