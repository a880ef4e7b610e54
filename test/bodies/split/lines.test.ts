import { describe, expect, test } from "vitest";
import { createJsonLineParser, formatJsonLine, jsonLines } from "../../../src/bodies/split/json-lines.ts";
import { createLineSplitter, formatLine, lines } from "../../../src/bodies/split/lines.ts";
import { bounded, fc } from "../../property/seed.ts";
import { codeOf, cutInto, cuts, splitAll, textOf, utf8 } from "./splitting.ts";

const text = textOf("\n", "\r", "\r\n", "a", "longer", "é", " ");

describe("createLineSplitter", () => {
  test.each([
    [false, /(?<=\n)/, /\r?\n$/],
    [true, /(?<=\n|\r(?!\n))/, /(?:\r\n|\n|\r)$/],
  ])(
    "createLineSplitter finds the same lines, cut anywhere (lone CR: %s)",
    (loneCarriageReturn, between, terminator) => {
      fc.assert(
        fc.property(text, cuts, (body, sizes) => {
          const { items, failure } = splitAll(createLineSplitter({ loneCarriageReturn }), cutInto(utf8(body), sizes));
          const wanted =
            body === ""
              ? []
              : body.split(between).map((line) => [line.replace(terminator, ""), terminator.exec(line)?.[0] ?? ""]);
          expect(items.map((line) => [line.text, line.terminator])).toEqual(wanted);
          expect(Buffer.concat(items.map(({ raw }) => raw)).toString()).toBe(body);
          expect(Buffer.concat(items.map((line) => line.withText(line.text))).toString()).toBe(body);
          expect(failure).toBeUndefined();
        }),
        bounded(2000),
      );
    },
  );

  test("createLineSplitter ends at a line that is too long, wherever it is cut, and gives back the rest", () => {
    fc.assert(
      fc.property(
        text,
        cuts,
        fc.integer({ min: 0, max: 9 }),
        fc.boolean(),
        (body, sizes, maxLineBytes, loneCarriageReturn) => {
          const bytes = utf8(body);
          const options = { maxLineBytes, loneCarriageReturn };
          const whole = splitAll(createLineSplitter(options), [bytes]);
          const { items, failure, rest } = splitAll(createLineSplitter(options), cutInto(bytes, sizes));
          expect(items.map((line) => line.text)).toEqual(whole.items.map((line) => line.text));
          expect(failure).toBe(whole.failure);
          expect(items.every((line) => line.bytes.length <= maxLineBytes)).toBe(true);
          expect(Buffer.concat([...items.map(({ raw }) => raw), rest]).equals(bytes)).toBe(true);
        },
      ),
      bounded(2000),
    );
  });

  test("createLineSplitter holds at most its limit of an endless line", () => {
    const splitter = createLineSplitter({ maxLineBytes: 1000 });
    const chunk = new Uint8Array(300).fill(97);
    const codes = Array.from({ length: 5 }, () => codeOf(() => splitter.push(chunk)));
    expect(codes).toEqual([undefined, undefined, undefined, "line_too_long", "line_too_long"]);
  });

  test("createLineSplitter reads each byte of a long line once, however short the chunks", () => {
    const splitter = createLineSplitter({ maxLineBytes: 1 << 20 });
    for (let n = 0; n < 1 << 19; n++) splitter.push(Uint8Array.of(97));
    expect(splitter.end()[0]?.raw.length).toBe(1 << 19);
  });

  test("createLineSplitter can be iterated", async () => {
    const seen: string[] = [];
    for await (const { text: line } of lines([utf8("a\nb"), utf8("c\r\nd")])) seen.push(line);
    expect(seen).toEqual(["a", "bc", "d"]);
  });

  test("createLineSplitter gives the lines before one that is too long, and then fails", () => {
    const splitter = createLineSplitter({ maxLineBytes: 3 });
    expect(splitter.push(utf8("a\nb\ntoo long\nc")).map((line) => line.text)).toEqual(["a", "b"]);
    expect(() => splitter.end()).toThrow(expect.objectContaining({ code: "line_too_long", rest: utf8("too long\nc") }));
    expect(splitter.end()).toEqual([]);
  });

  test("a written line has one line end", () => {
    expect(Buffer.from(formatLine("é", "\r\n")).toString()).toBe("é\r\n");
    expect(() => formatLine("a\nb")).toThrow(TypeError);
  });
});

describe("createJsonLineParser", () => {
  test("createJsonLineParser distinguishes values, blank lines and text that is not JSON", () => {
    const body = utf8('{"a":1}\r\n \t\n[2\n"\u00e9"\n7');
    const { items } = splitAll(createJsonLineParser(), [body]);
    expect(items.map((item) => (item.kind === "value" ? item.value : item.kind))).toEqual([
      { a: 1 },
      "blank",
      "invalid",
      "é",
      7,
    ]);
    expect(Buffer.concat(items.map(({ raw }) => raw)).equals(body)).toBe(true);
    expect(splitAll(createJsonLineParser(), [Uint8Array.of(0x22, 0xff, 0x22, 0x0a)]).items[0]?.kind).toBe("invalid");
  });

  test("createJsonLineParser reads what was written, cut anywhere", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 6 }), cuts, async (values, sizes) => {
        const body = Buffer.concat(values.map(formatJsonLine));
        const read: unknown[] = [];
        for await (const line of jsonLines(cutInto(body, sizes)))
          read.push(line.kind === "value" ? line.value : line.kind);
        expect(JSON.stringify(read)).toBe(JSON.stringify(values));
      }),
      bounded(300),
    );
  });

  test("createJsonLineParser refuses to write a value without a JSON text", () => {
    expect(() => formatJsonLine(undefined)).toThrow(TypeError);
    expect(() => formatJsonLine(() => 1)).toThrow(TypeError);
  });
});
