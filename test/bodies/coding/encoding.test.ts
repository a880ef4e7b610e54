import { brotliDecompressSync, createGzip, gunzipSync, inflateSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Coder } from "../../../src/bodies/coding/coder.ts";
import { codingFailure } from "../../../src/bodies/coding/coding-failure.ts";
import type { Coding } from "../../../src/bodies/coding/content-encoding.ts";
import { createDecoder } from "../../../src/bodies/coding/decoder.ts";
import { createEncoder } from "../../../src/bodies/coding/encoder.ts";
import { bounded, fc } from "../../property/seed.ts";
import { usedBytes } from "../../used-bytes.ts";
import { cutAt, encoded, STACKS, sampleText, streamed } from "./coded.ts";

const LIMITS = { maxBytes: 64 << 20 };
const single = STACKS.filter(({ length }) => length === 1);

describe("encodeBody", () => {
  test.each([0, 1, 1000, 70_000])("encodeBody writes %i bytes as Node itself reads them", async (size) => {
    const text = sampleText(size);
    expect(gunzipSync(await encoded(text, ["gzip"])).equals(text)).toBe(true);
    expect(inflateSync(await encoded(text, ["deflate"])).equals(text)).toBe(true);
    expect(brotliDecompressSync(await encoded(text, ["br"])).equals(text)).toBe(true);
    expect(gunzipSync(inflateSync(await encoded(text, ["gzip", "deflate"]))).equals(text)).toBe(true);
  });
});

describe.each(STACKS.map((codings) => [codings.join(", "), codings] as const))("a stream in %s", (_, codings) => {
  test("a stream is the same after encoding and decoding, cut anywhere on both sides", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 300 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 1000 }),
        sizes,
        sizes,
        fc.constantFrom("chunk", "end"),
        async (body, into, from, flush) => {
          const body2 = Buffer.concat([body, body, sampleText(body.length)]);
          const encoder = createEncoder(codings, { flush });
          const { bytes, failure } = await streamed(encoder, cutAt(body2, into));
          expect(failure).toBeUndefined();
          const decoded = await streamed(createDecoder(codings, LIMITS), cutAt(bytes, from));
          expect(decoded.failure).toBeUndefined();
          expect(decoded.bytes.equals(body2)).toBe(true);
        },
      ),
      { ...bounded(40), interruptAfterTimeLimit: 2000 },
    );
  });

  test("a stream gives the reader each chunk before the next", async () => {
    const encoder = createEncoder(codings);
    const decoder = createDecoder(codings, LIMITS);
    for (const event of ["data: 1\n\n", "data: 2\n\n", `data: ${"x".repeat(200_000)}\n\n`]) {
      const wire = await encoder.push(Buffer.from(event));
      if (wire.kind === "failed") throw new Error(wire.code);
      const seen: Uint8Array[] = [];
      for (const piece of wire.pieces) {
        const step = await decoder.push(piece);
        if (step.kind === "failed") throw new Error(step.code);
        seen.push(...step.pieces);
      }
      expect(Buffer.concat(seen).toString()).toBe(event);
    }
    encoder.close();
    decoder.close();
  });

  test("a stream gives out plain memory that belongs to the reader", async () => {
    const encoder = createEncoder(codings);
    for (const chunk of [Buffer.from("first"), Buffer.from("second")]) {
      const step = await encoder.push(chunk);
      for (const piece of step.kind === "pieces" ? step.pieces : []) {
        expect(piece.constructor).toBe(Uint8Array);
        expect(piece.buffer.byteLength).toBe(piece.length);
      }
    }
    encoder.close();
  });
});

describe("a stream that is closed early", () => {
  const make: readonly (readonly [string, (codings: readonly Coding[]) => ReturnType<typeof createEncoder>])[] = [
    ["encoder", (codings) => createEncoder(codings)],
    ["decoder", (codings) => createDecoder(codings, LIMITS)],
  ];

  test.each(make)(
    "a stream that is closed early ends the running step in the %s, with result closed",
    async (name, create) => {
      for (const codings of STACKS) {
        const body = name === "decoder" ? await encoded(sampleText(500_000), codings) : sampleText(500_000);
        const stream = create(codings);
        const underWay = stream.push(body);
        stream.close();
        expect(await underWay).toMatchObject({ kind: "failed", code: "closed" });
        expect(await stream.push(body)).toMatchObject({ code: "closed" });
        expect(await stream.end()).toMatchObject({ code: "closed" });
        stream.close();
      }
    },
  );

  test.each(make)(
    "a stream that is closed early gives back the %s's memory, at every point",
    { timeout: 60_000 },
    async (name, create) => {
      const bodies = await Promise.all(
        single.map(
          async (codings) =>
            [codings, name === "decoder" ? await encoded(sampleText(200_000), codings) : sampleText(200_000)] as const,
        ),
      );
      // They are kept, because the garbage collector frees only objects without references.
      const kept: ReturnType<typeof createEncoder>[] = [];
      const leaveMany = async (count: number) => {
        for (let n = 0; n < count; n++) {
          for (const [codings, body] of bodies) {
            const stream = create(codings);
            kept.push(stream);
            const underWay = stream.push(body.subarray(0, n % 3 === 0 ? 10 : 100_000));
            if (n % 2 === 0) await underWay;
            if (n % 10 === 0) await stream.push(Buffer.from("garbage, for a decoder"));
            if (n % 7 === 0) {
              await underWay;
              await stream.end();
            }
            stream.close();
            await underWay;
          }
        }
      };
      await leaveMany(20);
      const before = usedBytes();
      await leaveMany(200);
      // More than 600 streams. Each one that stayed would hold 64 KiB for its next piece, and an encoder 270 KB more.
      expect(kept.length).toBeGreaterThan(600);
      expect(usedBytes() - before).toBeLessThan(8 << 20);
    },
  );

  test.each(["failed", "ended"])(
    "a stream that is closed early frees its engine at once if it has %s, before any garbage collection",
    async (how) => {
      const engine = createGzip();
      const coder = new Coder({ coding: "gzip", engine });
      await coder.push(Buffer.from("x"), () => undefined);
      expect(engine.destroyed).toBe(false);
      if (how === "ended") await coder.end(() => undefined);
      else coder.fail(codingFailure("closed", "gzip"));
      expect(engine.destroyed).toBe(true);
    },
  );

  test("a stream refuses a chunk while another is in progress, and any chunk after the end", async () => {
    const encoder = createEncoder(["gzip"]);
    const first = encoder.push(Buffer.from("a"));
    await expect(encoder.push(Buffer.from("b"))).rejects.toThrow(TypeError);
    await first;
    await encoder.end();
    await expect(encoder.push(Buffer.from("c"))).rejects.toThrow(TypeError);
  });
});
