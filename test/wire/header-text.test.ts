import { describe, expect, test } from "vitest";
import { textToBytes, valueBytes, valueText } from "../../src/wire/header-text.ts";
import { bytes, headerEntry } from "../protocol/messages.ts";

const text = (...raw: number[]) => valueText(headerEntry("x-a", Uint8Array.from(raw)));
/** Longer than the limit of the loop for short values: both ways to decode must agree. */
const PADDING = "x".repeat(65);

describe("valueText", () => {
  test("valueText reads UTF-8", () => {
    for (const value of ["plain", "tab\tand blank", "grüße", "日本語", "😀", `${PADDING}é`]) {
      expect(valueText(headerEntry("x-a", value))).toBe(value);
    }
  });

  test("valueText reads each byte that is not UTF-8 as the lone surrogate that stands for it", () => {
    expect(text(0x63, 0x61, 0x66, 0xe9)).toBe("caf\udce9");
    for (let byte = 0x80; byte <= 0xff; byte++) expect(text(byte)).toBe(String.fromCharCode(0xdc00 + byte));
  });

  test("valueText reads the UTF-8 between bytes that are not UTF-8", () => {
    expect(text(0xc3, 0xa9, 0xff, 0xf0, 0x9f, 0x98, 0x80)).toBe("\u00e9\udcff\u{1f600}");
  });

  test.each([
    ["an overlong form", [0xc0, 0xaf]],
    ["a surrogate", [0xed, 0xa0, 0x80]],
    ["a character cut short", [0xe2, 0x82]],
    ["a code point above 10FFFF", [0xf4, 0x90, 0x80, 0x80]],
  ])("valueText does not take %s for UTF-8", (_what, raw) => {
    expect(text(...raw)).toBe(String.fromCharCode(...raw.map((byte) => (byte < 0x80 ? byte : 0xdc00 + byte))));
  });

  test("valueText keeps a byte order mark", () => {
    expect(text(0xef, 0xbb, 0xbf, 0x61)).toBe("\ufeffa");
  });

  test("valueText reads short and long values alike", () => {
    for (const length of [0, 1, 63, 64, 65, 1000]) {
      expect(valueText(headerEntry("x-a", "a".repeat(length)))).toBe("a".repeat(length));
      expect(
        valueText(
          headerEntry(
            "x-a",
            Uint8Array.from({ length: length + 1 }, () => 0xfe),
          ),
        ),
      ).toBe("\udcfe".repeat(length + 1));
    }
  });
});

describe("valueBytes", () => {
  test("valueBytes gives the exact bytes of every value", () => {
    const every = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    expect(valueBytes(headerEntry("x-a", every))).toEqual(every);
  });
});

describe("textToBytes", () => {
  test("textToBytes writes UTF-8", () => {
    expect(textToBytes("é😀")).toEqual(Uint8Array.of(0xc3, 0xa9, 0xf0, 0x9f, 0x98, 0x80));
    expect(textToBytes("")).toEqual(bytes(""));
  });

  test("textToBytes writes texts of any length, and no text changes another", () => {
    const texts = [1, 64, 65, 100, 341, 342, 5000].flatMap((length) =>
      Array.from({ length: 40 }, (_, index) => String.fromCharCode(0x61 + (index % 26), 0xe9).repeat(length)),
    );
    const written = texts.map(textToBytes);
    expect(written.map((one) => new TextDecoder().decode(one))).toEqual(texts);
  });
});
