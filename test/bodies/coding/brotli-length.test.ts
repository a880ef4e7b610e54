import { brotliCompressSync, constants } from "node:zlib";
import { expect, test } from "vitest";
import { brotliLength } from "../../../src/bodies/coding/brotli-length.ts";
import { bounded, fc } from "../../property/seed.ts";

const text = (length: number) => Buffer.from(Array.from({ length }, (_, at) => (at * 31 + (at >> 5)) & 0x7f));
const compressed = (bytes: Uint8Array, quality: number, window: number) =>
  brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: quality, [constants.BROTLI_PARAM_LGWIN]: window },
  });

test("the beginning of a brotli body of one meta-block gives its length, whatever its window", () => {
  for (let window = 10; window <= 24; window++) expect(brotliLength(compressed(text(4000), 5, window))).toBe(4000);
  for (const length of [0, 100, 65_536]) expect(brotliLength(compressed(text(length), 5, 22))).toBe(length);
});

test("the beginning of a brotli bomb does not give its length", () => {
  expect(brotliLength(compressed(Buffer.alloc(1 << 20), 5, 22))).toBeUndefined();
});

test("the beginning of a brotli body never gives a wrong length", () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 300 }),
      fc.integer({ min: 0, max: 11 }),
      fc.integer({ min: 10, max: 24 }),
      (bytes, quality, window) => {
        expect([bytes.length, undefined]).toContain(brotliLength(compressed(bytes, quality, window)));
      },
    ),
    bounded(200),
  );
});
