import { describe, expect, test } from "vitest";
import { isWritableLength, lengthAt, varintBytes, writeLength } from "../../src/wire/varint.ts";

const LENGTHS = [0, 1, 127, 128, 16_383, 16_384, 2_097_151, 2_097_152, 268_435_455];

describe("a length as a varint", () => {
  test.each(LENGTHS)("length %i is read as it is written, in as many bytes as computed", (length) => {
    const bytes = new Uint8Array(6);
    const end = writeLength(bytes, 1, length);
    expect([end - 1, lengthAt(bytes, 1, 6), lengthAt(bytes, 1, end)]).toEqual([varintBytes(length), length, length]);
    expect(lengthAt(bytes, 1, end - 1)).toBeUndefined();
    expect(isWritableLength(length)).toBe(true);
  });

  test("a length as a varint is absent if the bytes end within it", () => {
    expect([lengthAt(Uint8Array.of(0x80), 0, 5), lengthAt(new Uint8Array(0), 0, 5)]).toEqual([undefined, undefined]);
  });

  test("a length as a varint is absent if it has more than four bytes", () => {
    expect(lengthAt(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x01), 0, 5)).toBeUndefined();
    expect(isWritableLength(268_435_456)).toBe(false);
  });
});
