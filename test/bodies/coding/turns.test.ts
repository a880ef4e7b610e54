import { brotliCompressSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { endTurn, inSlot, inTurn } from "../../../src/bodies/coding/coding-slots.ts";
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
  const begun: number[] = [];
  for (const step of [1, 2, 3]) inTurn(() => void begun.push(step), never);
  expect(begun).toEqual([1]);
  endTurn();
  expect(begun).toEqual([1, 2]);
  endTurn();
  endTurn();
  expect(begun).toEqual([1, 2, 3]);
  inTurn(() => void begun.push(4), never);
  expect(begun).toEqual([1, 2, 3, 4]);
  endTurn();
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
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance", "setTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  test("a step of a brotli decoder that had to wait for over 100 ms is refused, and the next step begins", () => {
    const seen: string[] = [];
    const step = (name: string) =>
      inTurn(
        () => void seen.push(`${name} begins`),
        () => void seen.push(`${name} is refused`),
      );
    step("first");
    step("second");
    vi.advanceTimersByTime(101);
    step("third");
    endTurn();
    vi.advanceTimersByTime(50);
    expect(seen).toEqual(["first begins", "second is refused", "third begins"]);
    endTurn();
  });

  test("a step with a large window is refused after 60 ms", () => {
    const seen: string[] = [];
    inTurn(() => undefined, never);
    for (const [name, isLarge] of [
      ["large", true],
      ["small", false],
    ] as const)
      inTurn(
        () => void seen.push(`${name} begins`),
        () => void seen.push(`${name} is refused`),
        isLarge,
      );
    vi.advanceTimersByTime(61);
    endTurn();
    expect(seen).toEqual(["large is refused", "small begins"]);
    endTurn();
  });

  test.each([
    [5, 5],
    [35, 35],
    [80, 50],
  ])("after a step of %i ms with a large window the next one begins %i ms later", (tookMs, restMs) => {
    const begun: string[] = [];
    inTurn(() => void begun.push("first"), never);
    vi.advanceTimersByTime(tookMs);
    inTurn(() => void begun.push("second"), never);
    endTurn(true);
    vi.advanceTimersByTime(restMs - 1);
    expect(begun).toEqual(["first"]);
    vi.advanceTimersByTime(1);
    expect(begun).toEqual(["first", "second"]);
    endTurn();
  });
});
