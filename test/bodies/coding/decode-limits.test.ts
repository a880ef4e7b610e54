import { describe, expect, test } from "vitest";
import { codedChunks } from "../../../src/bodies/coding/coded-chunks.ts";
import { CodingError } from "../../../src/bodies/coding/coding-failure.ts";
import type { Coding } from "../../../src/bodies/coding/content-encoding.ts";
import { createDecoder } from "../../../src/bodies/coding/decoder.ts";
import { createEncoder } from "../../../src/bodies/coding/encoder.ts";
import { decodeBody } from "../../../src/bodies/coding/whole-body.ts";
import { cutAt, encoded, STACKS, sampleText, streamed } from "./coded.ts";

const MIB = 1 << 20;
const BOMB_BYTES = 200 * MIB;

/** Zeros, encoded without holding all of them in memory. */
async function bomb(codings: readonly Coding[]): Promise<Buffer> {
  const zeros = new Uint8Array(MIB);
  const encoder = createEncoder(codings, { flush: "end" });
  const { bytes, failure } = await streamed(
    encoder,
    Array.from({ length: BOMB_BYTES / MIB }, () => zeros),
  );
  expect(failure).toBeUndefined();
  return bytes;
}

/** The peak of memory during the work, above the memory before it. */
async function grownBytes(work: () => Promise<unknown>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = 0;
  let isOver = false;
  const watch = () => {
    most = Math.max(most, process.memoryUsage.rss() - before);
    if (!isOver) setImmediate(watch);
  };
  watch();
  await work();
  isOver = true;
  return most;
}

describe.each(STACKS.map((codings) => [codings.join(", "), codings] as const))("a bomb in %s", (_, codings) => {
  test("a bomb ends at the first byte above the limit, whole or in chunks, with limited memory", {
    timeout: 60_000,
  }, async () => {
    const bytes = await bomb(codings);
    expect(bytes.length).toBeLessThan(MIB);
    for (const [limits, code] of [
      [{ maxBytes: 1000 * MIB, maxRatio: 20 }, "ratio"],
      [{ maxBytes: MIB, maxRatio: Number.POSITIVE_INFINITY }, "too_large"],
      [{ maxBytes: 4 * MIB, maxRatio: Number.POSITIVE_INFINITY }, "too_large"],
    ] as const) {
      const results: unknown[] = [];
      const grown = await grownBytes(async () => {
        results.push(await decodeBody(bytes, codings, limits));
        results.push((await streamed(createDecoder(codings, limits), cutAt(bytes, [16 << 10]))).failure);
      });
      expect(results).toMatchObject([
        { kind: "failed", code },
        { kind: "failed", code },
      ]);
      expect(grown).toBeLessThan(64 * MIB);
    }
  });
});

test("the codings of a stack share their limits, so that their ratios do not multiply", async () => {
  // The final output has no bytes: the bomb is the result of the first decoder.
  const members = Buffer.concat(
    Array.from({ length: 200_000 }, () => Buffer.from("H4sIAAAAAAAAAwMAAAAAAAAAAAA=", "base64")),
  );
  const bytes = await encoded(members, ["gzip"]);
  expect(await decodeBody(bytes, ["gzip", "gzip"], { maxBytes: 100 * MIB, maxRatio: 50 })).toMatchObject({
    code: "ratio",
  });
  expect(await decodeBody(bytes, ["gzip", "gzip"], { maxBytes: MIB })).toMatchObject({ code: "too_large" });
});

describe.each([["identity", []], ...STACKS.map((codings) => [codings.join(", "), codings] as const)] as const)(
  "maxBytes, in %s",
  (_, codings) => {
    test.each([0, 1, 1000, 600_000])("maxBytes of %i lets exactly as many bytes pass", async (size) => {
      const body = await encoded(sampleText(size), codings);
      const limits = (maxBytes: number) => ({ maxBytes, maxRatio: 1000 });
      const stacked = codings.length > 1 ? 200_000 : 0;
      const fits = await decodeBody(body, codings, limits(size + stacked));
      expect(fits).toMatchObject({ kind: "bytes", bytes: { length: size } });
      if (size === 0) return;
      expect(await decodeBody(body, codings, limits(size - 1))).toMatchObject({ code: "too_large" });
      expect((await streamed(createDecoder(codings, limits(size - 1)), cutAt(body, [5000]))).failure).toMatchObject({
        code: "too_large",
      });
    });
  },
);

describe("codedChunks", () => {
  test("codedChunks makes nothing ahead: a reader that stops holds at most 64 KiB of a bomb", async () => {
    const bytes = await bomb(["gzip"]);
    const decoder = createDecoder(["gzip"], { maxBytes: BOMB_BYTES, maxRatio: 2000 });
    const pieces = codedChunks([bytes], decoder);
    const grown = await grownBytes(async () => {
      for (let n = 0; n < 20; n++) {
        const { value } = await pieces.next();
        expect(value?.length).toBeLessThanOrEqual(64 << 10);
        for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
      }
    });
    expect(grown).toBeLessThan(16 * MIB);
    await pieces.return();
    expect(await decoder.push(bytes)).toMatchObject({ code: "closed" });
  });

  test.each(STACKS)("codedChunks gives all bytes in %j", async (...codings) => {
    const text = sampleText(3 * MIB);
    const pieces: Uint8Array[] = [];
    const body = codedChunks(cutAt(text, [100_000]), createEncoder(codings));
    for await (const piece of codedChunks(body, createDecoder(codings, { maxBytes: 4 * MIB }))) pieces.push(piece);
    expect(Buffer.concat(pieces).equals(text)).toBe(true);
  });

  test("codedChunks throws the failure, behind the good pieces", async () => {
    const body = await encoded(sampleText(300_000), ["gzip"]);
    let length = 0;
    const reading = (async () => {
      const decoder = createDecoder(["gzip"], { maxBytes: MIB });
      for await (const piece of codedChunks([body.subarray(0, -9)], decoder)) length += piece.length;
    })();
    await expect(reading).rejects.toThrow(CodingError);
    expect(length).toBeGreaterThan(200_000);
  });
});
