import { describe, expect, test } from "vitest";
import { printable, printableLine } from "../../../src/server/log/printable.ts";

const CODE_UNITS = Array.from({ length: 0x1_0000 }, (_, code) => String.fromCharCode(code));

/** The characters that a terminal obeys: C0, DEL, C1; marks, embeddings, overrides and isolates of bidirectional text; line breaks. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what this is about
const OBEYED = /^(?:[\0-\u001f\u007f-\u009f]|[\u061c\u200e\u200f]|[\u202a-\u202e]|[\u2066-\u2069]|[\u2028\u2029])$/;

describe("printable", () => {
  test("printable escapes exactly the characters that a terminal obeys, except line feed and tab", () => {
    for (const character of CODE_UNITS) {
      const isEscaped = OBEYED.test(character) && character !== "\n" && character !== "\t";
      const wanted = isEscaped ? `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}` : character;
      if (printable(character) !== wanted) expect.fail(`U+${character.charCodeAt(0).toString(16)}`);
    }
  });

  test("printable keeps the value of JSON", () => {
    const text = CODE_UNITS.join("");
    expect(JSON.parse(printable(JSON.stringify({ [text]: text })))).toEqual({ [text]: text });
  });

  test("printable returns one line on request", () => {
    expect(printableLine("a\nb\tc\r\u009b")).toBe("a\\u000ab\tc\\u000d\\u009b");
  });
});
