import { describe, expect, test } from "vitest";
import { escapedBytes, escapedText, hasEscapes } from "../../src/text/escaped-text.ts";
import { bounded, fc } from "../property/seed.ts";

/** Bytes in which UTF-8, parts of it, and bytes that are not UTF-8 are all frequent. */
const bytesArbitrary = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 4 }),
      fc.string({ unit: "binary", maxLength: 4 }).map((text) => new TextEncoder().encode(text)),
      fc.constantFrom(
        Uint8Array.of(0xed, 0xb3, 0xa9),
        Uint8Array.of(0xc3),
        Uint8Array.of(0xe2, 0x82),
        Uint8Array.of(0xff),
      ),
    ),
    { maxLength: 8 },
  )
  .map((parts) => Uint8Array.from(parts.flatMap((part) => [...part])));

describe("text of bytes that need not be UTF-8", () => {
  test("escaped text gives the same bytes again, whatever they are", () => {
    fc.assert(
      fc.property(bytesArbitrary, (bytes) => {
        expect(escapedBytes(escapedText(bytes))).toEqual(bytes);
      }),
      bounded(5000),
    );
  });

  test("escaped text gives the same bytes again when it was cut anywhere, and joined", () => {
    fc.assert(
      fc.property(bytesArbitrary, bytesArbitrary, (left, right) => {
        const text = escapedText(left) + escapedText(right);
        expect(escapedBytes(text)).toEqual(Uint8Array.from([...left, ...right]));
      }),
      bounded(2000),
    );
  });

  test("escaped text is TextDecoder's output if the bytes are UTF-8", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const bytes = new TextEncoder().encode(text);
        expect(escapedText(bytes)).toBe(text);
        expect(escapedBytes(text)).toEqual(bytes);
        expect(hasEscapes(text)).toBe(false);
      }),
      bounded(2000),
    );
  });

  test("escaped text has U+FFFD for a surrogate that does not stand for a byte", () => {
    expect([...escapedBytes("a\ud800b\udc7f")]).toEqual([0x61, 0xef, 0xbf, 0xbd, 0x62, 0xef, 0xbf, 0xbd]);
  });
});
