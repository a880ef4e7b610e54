import { brotliCompressSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { BrotliTurns } from "../../../src/bodies/coding/brotli-turns.ts";
import { inSlot } from "../../../src/bodies/coding/coding-slots.ts";
import { createDecoder } from "../../../src/bodies/coding/decoder.ts";
import { decodeBody, encodeBody } from "../../../src/bodies/coding/whole-body.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));
const limits = { maxBytes: 4 << 20 };
const never = () => expect.unreachable("the step is refused");

describe("many bodies at once", () => {
  test("many bodies are decoded in the calling thread up to a few megabytes a turn, the others in the thread pool", async () => {
    await turn();
    const zipped = gzipSync(new Uint8Array(256 << 10));
    const decoded = Array.from({ length: 100 }, () => decodeBody(zipped, ["gzip"], limits));
    const now = decoded.filter((body) => !(body instanceof Promise)).length;
    expect(now).toBeGreaterThan(8);
    expect(now).toBeLessThan(20);
    for (const body of await Promise.all(decoded)) expect(body).toMatchObject({ kind: "bytes" });
    expect(decodeBody(zipped, ["gzip"], limits)).not.toBeInstanceOf(Promise);
  });

  test("many bombs cost a turn no more than other bodies", async () => {
    await turn();
    const bomb = gzipSync(new Uint8Array(8 << 20));
    const decoded = Array.from({ length: 100 }, () => decodeBody(bomb, ["gzip"], limits));
    // Each was tried without success, or not at all.
    expect(decoded.every((body) => body instanceof Promise)).toBe(true);
    for (const body of await Promise.all(decoded)) expect(body).toMatchObject({ kind: "failed" });
  });

  test("many bodies are encoded in the same way", async () => {
    await turn();
    const bytes = new Uint8Array(60 << 10);
    const encoded = Array.from({ length: 100 }, () => encodeBody(bytes, ["gzip"]));
    const now = encoded.filter((body) => !(body instanceof Promise)).length;
    expect(now).toBeGreaterThan(8);
    expect(now).toBeLessThan(25);
    for (const body of await Promise.all(encoded)) expect(body).toMatchObject({ kind: "bytes" });
  });
});

test("a brotli body whose length is not known is not decoded in the calling thread", async () => {
  await turn();
  const small = brotliCompressSync(Buffer.from("hello ".repeat(100)));
  expect(decodeBody(small, ["br"], limits)).toMatchObject({ kind: "bytes" });
  const bomb = decodeBody(brotliCompressSync(new Uint8Array(8 << 20)), ["br"], limits);
  expect(bomb).toBeInstanceOf(Promise);
  expect(await bomb).toMatchObject({ kind: "failed" });
});

test("a step of a brotli decoder begins when the step before it has ended its turn, in order of arrival", () => {
  const turns = new BrotliTurns();
  const begun: number[] = [];
  for (const step of [1, 2, 3]) turns.begin({ begin: () => void begun.push(step), refuse: never });
  expect(begun).toEqual([1]);
  turns.end();
  expect(begun).toEqual([1, 2]);
  turns.end();
  turns.end();
  expect(begun).toEqual([1, 2, 3]);
  turns.begin({ begin: () => void begun.push(4), refuse: never });
  expect(begun).toEqual([1, 2, 3, 4]);
  turns.end();
});

test("brotli decoders that are closed while they wait for a turn do not keep the next one waiting", async () => {
  const body = brotliCompressSync(Buffer.from("hello ".repeat(1000)));
  const decoders = Array.from({ length: 20 }, () => createDecoder(["br"], limits));
  const results = decoders.map((decoder) => decoder.push(body));
  for (const decoder of decoders.slice(0, 19)) decoder.close();
  const failed = await Promise.all(results.slice(0, 19));
  expect(failed).toEqual(Array(19).fill(expect.objectContaining({ kind: "failed", code: "closed" })));
  expect(await results[19]).toMatchObject({ kind: "pieces" });
});

describe("the thread pool", () => {
  test("the thread pool has room for some whole bodies at a time, and takes the others in order of arrival", async () => {
    const begun: number[] = [];
    const ends: (() => void)[] = [];
    const works = Array.from({ length: 20 }, (_, index) =>
      inSlot(async () => {
        begun.push(index);
        await new Promise<void>((resolve) => ends.push(resolve));
        return index;
      }),
    );
    await turn();
    expect(begun).toEqual(Array.from({ length: 4 }, (_, index) => index));
    ends[3]?.();
    await turn();
    expect(begun.slice(4)).toEqual([4]);
    for (let count = 0; count < 20; count++) {
      for (const end of ends) end();
      await turn();
    }
    expect(await Promise.all(works)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  test("the thread pool has room again after a failure", async () => {
    for (let count = 0; count < 40; count++) {
      await expect(inSlot(() => Promise.reject(new Error("failed")))).rejects.toThrow("failed");
    }
    expect(await inSlot(async () => "done")).toBe("done");
  });
});

describe("turns of brotli decoders", () => {
  let turns: BrotliTurns;
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["performance", "setTimeout"] });
    turns = new BrotliTurns();
  });
  afterEach(() => void vi.useRealTimers());

  test("a step of a brotli decoder that had to wait for over 100 ms is refused, and the next step begins", () => {
    const seen: string[] = [];
    const step = (name: string) =>
      turns.begin({
        begin: () => void seen.push(`${name} begins`),
        refuse: () => void seen.push(`${name} is refused`),
      });
    step("first");
    step("second");
    vi.advanceTimersByTime(101);
    step("third");
    turns.end();
    vi.advanceTimersByTime(50);
    expect(seen).toEqual(["first begins", "second is refused", "third begins"]);
    turns.end();
  });

  test("a step with a large window is refused after 60 ms", () => {
    const seen: string[] = [];
    turns.begin({ begin: () => undefined, refuse: never });
    for (const [name, isLarge] of [
      ["large", true],
      ["small", false],
    ] as const)
      turns.begin({
        begin: () => void seen.push(`${name} begins`),
        refuse: () => void seen.push(`${name} is refused`),
        largeDecoder: isLarge ? {} : undefined,
      });
    vi.advanceTimersByTime(61);
    turns.end();
    expect(seen).toEqual(["large is refused", "small begins"]);
    turns.end();
  });

  test.each([
    [5, 15],
    [35, 105],
    [80, 150],
  ])("after a step of %i ms with a large window the next such step begins %i ms later", (tookMs, restMs) => {
    const begun: string[] = [];
    turns.begin({ begin: () => void begun.push("first"), refuse: never, largeDecoder: {} });
    vi.advanceTimersByTime(tookMs);
    turns.end({});
    vi.advanceTimersByTime(restMs - 10);
    turns.begin({ begin: () => void begun.push("second"), refuse: never, largeDecoder: {} });
    vi.advanceTimersByTime(9);
    expect(begun).toEqual(["first"]);
    vi.advanceTimersByTime(1);
    expect(begun).toEqual(["first", "second"]);
    turns.end();
  });

  test("a step with a small window does not wait for the rest after a large one", () => {
    const begun: string[] = [];
    turns.begin({ begin: () => void begun.push("large"), refuse: never, largeDecoder: {} });
    vi.advanceTimersByTime(30);
    turns.begin({ begin: () => void begun.push("second large"), refuse: () => undefined, largeDecoder: {} });
    turns.begin({ begin: () => void begun.push("small"), refuse: never });
    turns.end({});
    expect(begun).toEqual(["large", "small"]);
    turns.end();
    turns.begin({ begin: () => void begun.push("late small"), refuse: never });
    expect(begun).toEqual(["large", "small", "late small"]);
    turns.end();
    vi.advanceTimersByTime(200);
  });

  test("a step with a large window that the rest delays for over 60 ms is refused at its end, and a later one begins", () => {
    const seen: string[] = [];
    const large = (name: string) =>
      turns.begin({
        begin: () => void seen.push(`${name} begins`),
        refuse: () => void seen.push(`${name} is refused`),
        largeDecoder: {},
      });
    large("first");
    vi.advanceTimersByTime(30);
    turns.end({});
    large("second");
    vi.advanceTimersByTime(50);
    large("third");
    vi.advanceTimersByTime(40);
    expect(seen).toEqual(["first begins", "second is refused", "third begins"]);
    turns.end();
  });

  test("a decoder with a large window does not wait for the rest after its own step", () => {
    const begun: string[] = [];
    const decoder = {};
    turns.begin({ begin: () => void begun.push("first"), refuse: never, largeDecoder: decoder });
    vi.advanceTimersByTime(40);
    turns.end(decoder);
    turns.begin({ begin: () => void begun.push("second"), refuse: never, largeDecoder: decoder });
    expect(begun).toEqual(["first", "second"]);
    turns.end(decoder);
  });

  test("20,000 steps that end when they begin do not fill the stack", () => {
    let begun = 0;
    turns.begin({ begin: () => undefined, refuse: never });
    for (let step = 0; step < 20_000; step++)
      turns.begin({
        begin: () => {
          begun++;
          turns.end();
        },
        refuse: never,
      });
    turns.end();
    expect(begun).toBe(20_000);
  });
});
