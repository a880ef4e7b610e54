import { describe, expect, test } from "vitest";
import { charsetOf, decodeText, encodeText, encodingOf, withUtf8Charset } from "../../src/text/charset.ts";
import { bounded, fc } from "../property/seed.ts";

const NO_BYTES = new Uint8Array(0);
const named = (label: string, bytes: Uint8Array = NO_BYTES) => encodingOf(bytes, label, { json: false });

const SINGLE_BYTE = [
  "iso-8859-1",
  "us-ascii",
  "windows-1252",
  "windows-1251",
  "windows-1253",
  "iso-8859-15",
  "koi8-r",
  "macintosh",
];

describe("charsetOf", () => {
  test.each([
    ["text/plain; charset=ISO-8859-1", "iso-8859-1"],
    ['text/plain;charset="utf-16"; x=y', "utf-16"],
    ["text/plain ; Charset = gbk", "gbk"],
    ["text/plain; charset=", undefined],
    ['text/plain; charset=""', undefined],
    ["text/plain; xcharset=gbk", undefined],
    ['multipart/mixed; boundary="; charset=gbk"', undefined],
    ['multipart/mixed; boundary="\\"; charset=gbk"; charset=utf-16', "utf-16"],
    ['text/plain; charset="g\\bk"', "gbk"],
    ["text/plain; charset=gbk; charset=utf-16", "gbk"],
    ["text/plain", undefined],
    [undefined, undefined],
  ])("charsetOf finds in %s the charset %s", (contentType, charset) => {
    expect(charsetOf(contentType)).toBe(charset);
  });

  test.each([
    ["text/html; Charset=GBK; level=1", "text/html; Charset=utf-8; level=1"],
    ['text/html; charset="shift_jis"', "text/html; charset=utf-8"],
    ['a/b; x="; charset=gbk"; charset="g\\bk"', 'a/b; x="; charset=gbk"; charset=utf-8'],
    ["text/html; charset=gbk; charset=koi8-r", "text/html; charset=utf-8; charset=utf-8"],
  ])("charsetOf corrects the charset to UTF-8 in %s", (contentType, corrected) => {
    expect(withUtf8Charset(contentType)).toBe(corrected);
  });
});

describe("a charset of one byte for each character", () => {
  test.each(SINGLE_BYTE)(
    "a charset of one byte for each character gives the same bytes again, or reports that they do not fit: %s",
    (label) => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
          const text = decodeText(bytes, named(label, bytes));
          fc.pre(text !== undefined);
          expect(encodeText(text, named(label, bytes), text)).toEqual(bytes);
        }),
        bounded(1000),
      );
    },
  );

  test("windows-1252 has the characters of the WHATWG standard on every Node", () => {
    expect(decodeText(Uint8Array.of(0x80, 0x92, 0x9f, 0x81), named("windows-1252"))).toBe("€’Ÿ\x81");
  });

  test.each([
    ["iso-8859-1", "é", true],
    ["iso-8859-1", "€", false],
    ["us-ascii", "e", true],
    ["us-ascii", "é", false],
    ["windows-1252", "€", true],
    ["windows-1252", "→", false],
  ])("charset %s can encode a new %s: %s", (label, text, has) => {
    expect(encodeText(text, named(label), "before") !== undefined).toBe(has);
  });

  test("a charset whose label covers less than its content keeps its content", () => {
    const bytes = Uint8Array.of(0x93, 0x61, 0x94);
    const text = decodeText(bytes, named("iso-8859-1")) ?? "";
    expect(encodeText(`${text}!`, named("iso-8859-1"), text)).toEqual(Uint8Array.of(0x93, 0x61, 0x94, 0x21));
  });
});

describe("UTF-8 and UTF-16", () => {
  test.each(["utf-8", "utf-16le", "utf-16be"])("%s gives the same text again", (label) => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        fc.pre(!text.startsWith("\ufeff") && !text.startsWith("\ufffe"));
        const bytes = encodeText(text, named(label), undefined) ?? NO_BYTES;
        expect(decodeText(bytes, named(label))).toBe(text);
      }),
      bounded(1000),
    );
  });

  test.each([
    ["utf-8", [0xef, 0xbb, 0xbf, 0x61], [0xef, 0xbb, 0xbf, 0x62]],
    ["utf-16le", [0xff, 0xfe, 0x61, 0], [0xff, 0xfe, 0x62, 0]],
    ["utf-16be", [0xfe, 0xff, 0, 0x61], [0xfe, 0xff, 0, 0x62]],
  ])("a byte order mark of %s survives, and is not part of the text", (_name, bytes, expected) => {
    const encoding = named("iso-8859-1", Uint8Array.from(bytes));
    expect(decodeText(Uint8Array.from(bytes), encoding)).toBe("a");
    expect(encodeText("b", encoding, "a")).toEqual(Uint8Array.from(expected));
    expect(encodeText("\ufeffb", encoding, "a")).toEqual(Uint8Array.from(expected));
  });

  test("JSON in UTF-16 is recognised without a label and without a mark", () => {
    const bytes = Uint8Array.of(0x5b, 0, 0x31, 0, 0x5d, 0);
    expect(decodeText(bytes, encodingOf(bytes, undefined, { json: true }))).toBe("[1]");
    const swapped = Uint8Array.of(0, 0x5b, 0, 0x31, 0, 0x5d);
    expect(decodeText(swapped, encodingOf(swapped, "utf-8", { json: true }))).toBe("[1]");
  });
});

describe("bytes that do not fit a charset", () => {
  test.each([
    ["utf-8", [0x63, 0xe9]],
    ["shift_jis", [0x83]],
    ["gbk", [0x81, 0x20]],
    ["utf-16le", [0x61]],
    ["utf-16be", [0xd8, 0x00]],
    ["windows-1253", [0xd2]],
    ["x-unknown", [0xe9]],
  ])("bytes that do not fit are not text in %s", (label, bytes) => {
    expect(decodeText(Uint8Array.from(bytes), named(label))).toBeUndefined();
  });
});

test.each([
  ["shift_jis", [0x82, 0xa0], "あ"],
  ["gbk", [0xc4, 0xe3], "你"],
  ["euc-kr", [0xb0, 0xa1], "가"],
  ["x-unknown", [0xc3, 0xa9], "é"],
])("bytes in %s are decoded", (label, bytes, text) => {
  expect(decodeText(Uint8Array.from(bytes), named(label))).toBe(text);
});

test("a charset that can only be decoded is written if the text is ASCII", () => {
  expect(encodeText("abc", named("gbk"), "你")).toEqual(Uint8Array.of(0x61, 0x62, 0x63));
  expect(encodeText("你", named("gbk"), "你")).toBeUndefined();
});
