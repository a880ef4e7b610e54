import { describe, expect, test } from "vitest";
import { joinedText } from "../../src/protocol/headers/headers.ts";
import { HeaderIndex, indexHeaderMap } from "../../src/wire/header-index.ts";

/** An entry with the name "ab" of which only the first byte is present. */
const CUT = Uint8Array.of(0x0a, 4, 0x0a, 2, 0x61);

describe("an index over headers", () => {
  test("an index over headers reads zeros beyond the bytes, and throws nothing", () => {
    const index = indexHeaderMap(CUT, 0, 6);
    expect(index?.has("a\0")).toBe(true);
    expect(index?.has("ab")).toBe(false);
    expect(indexHeaderMap(Uint8Array.of(0x0a, 4, 0x0a, 0, 0x1a), 0, 6)).toBeUndefined();
    const value = new HeaderIndex(Uint8Array.of(0x0a, 7, 0x0a, 1, 0x61, 0x1a, 2, 0x62), 0, 9);
    expect(joinedText(value, "A")).toBe("b\0");
  });

  test("an index over headers counts an empty entry at the very end", () => {
    const index = indexHeaderMap(Uint8Array.of(0x0a, 0), 0, 2);
    expect([index?.count, index?.size, index?.has("")]).toEqual([1, 0, true]);
  });

  test("an index over headers gives the text of the first entry of a name", () => {
    const index = indexHeaderMap(Uint8Array.of(0x0a, 6, 0x0a, 1, 0x61, 0x1a, 1, 0x62), 0, 8);
    expect([index?.firstText("a"), index?.firstText("b")]).toEqual(["b", undefined]);
  });

  test.each([
    ["has another tag", [0x12, 0]],
    ["has no length", [0x0a]],
    ["is cut off", [0x0a, 3, 0x0a, 1]],
    ["has a name that is cut off", [0x0a, 3, 0x0a, 2, 0x61]],
    ["has a name without a length", [0x0a, 1, 0x0a]],
    ["has a name that is not ASCII", [0x0a, 4, 0x0a, 2, 0xc3, 0xa9]],
    ["has a value that is cut off", [0x0a, 3, 0x1a, 2, 0x61]],
    ["has a value without a length", [0x0a, 1, 0x1a]],
    ["has text that is not ASCII", [0x0a, 4, 0x12, 2, 0xc3, 0xa9]],
    ["has both values", [0x0a, 6, 0x12, 1, 0x61, 0x1a, 1, 0x62]],
    ["has an unknown field", [0x0a, 2, 0x22, 0]],
    ["has a length in a longer form than need be", [0x0a, 0x80, 0]],
    ["has a length of five bytes", [0x0a, 0xff, 0xff, 0xff, 0xff, 1]],
  ])("an index over headers is not made if an entry %s", (_what, bytes) => {
    expect(indexHeaderMap(Uint8Array.from(bytes), 0, bytes.length)).toBeUndefined();
  });
});
