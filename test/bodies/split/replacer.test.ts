import { describe, expect, test } from "vitest";
import { createReplacer, type ReplaceOptions, replacedChunks } from "../../../src/bodies/split/replacer.ts";
import { bounded, fc } from "../../property/seed.ts";
import { cutInto, cuts, feedAll, textOf, utf8 } from "./splitting.ts";

/** The replacer's output for a body in chunks of these sizes. */
function replaced(body: Uint8Array, options: ReplaceOptions, sizes: readonly number[] = []): Buffer {
  const { outputs, failure } = feedAll(createReplacer(options), cutInto(body, sizes));
  expect(failure).toBeUndefined();
  return Buffer.concat(outputs);
}

/** Patterns whose longest match is known. */
const EXPRESSIONS: readonly (readonly [RegExp, number])[] = [
  [/a/, 1],
  [/ab?a/, 3],
  [/a{1,3}b/g, 4],
  [/\bab{0,2}\b/, 3],
  [/(?<=b)a|(?<!b)c/, 1],
  [/a(?=b)/, 1],
  [/a(?!bb)/, 2],
  [/^a|b$|c$/, 1],
  [/^a|b$/m, 1],
  [/B\s?A/i, 3],
  [/a.b/s, 3],
  [/(?:ab|a)(?:c|bc)/, 4],
  [/(a)\1|[^ab]{2}/, 2],
];

describe("createReplacer", () => {
  test("createReplacer finds a match that is cut by a chunk's end", () => {
    const options = {
      pattern: /\b\d{13,19}\b/,
      maxMatchBytes: 19,
      replacement: (card: string) => `****${card.slice(-4)}`,
    };
    expect(replaced(utf8("pay 4111111111111111 now"), options, [10, 3]).toString()).toBe("pay ****1111 now");
  });

  test.each(EXPRESSIONS)(
    "createReplacer with %s gives the same as a replacement in the whole text, cut anywhere",
    (pattern, maxMatchBytes) => {
      const whole = new RegExp(pattern, pattern.flags.includes("g") ? pattern.flags : `${pattern.flags}g`);
      fc.assert(
        fc.property(textOf("a", "b", "c", "A", " ", "\n"), cuts, (text, sizes) => {
          const replacement = (match: string) => `<${match.length}>`;
          expect(replaced(utf8(text), { pattern, maxMatchBytes, replacement }, sizes).toString()).toBe(
            text.replace(whole, replacement),
          );
        }),
        bounded(1000),
      );
    },
  );

  test("createReplacer with strings gives the same as a replacement in the whole text, cut anywhere", () => {
    const strings = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "é", "."), minLength: 1, maxLength: 4 }), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(textOf("a", "b", "ab", "é", ".", "x"), strings, cuts, (text, pattern, sizes) => {
        const whole = new RegExp(pattern.map((part) => part.replaceAll(".", "\\.")).join("|"), "g");
        expect(replaced(utf8(text), { pattern, replacement: "$1" }, sizes).toString()).toBe(
          text.replace(whole, () => "$1"),
        );
      }),
      bounded(3000),
    );
  });

  test("createReplacer leaves all other bytes unchanged, whatever they are", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), cuts, (bytes, sizes) => {
        const options = { pattern: /\s+\S\s/, maxMatchBytes: 40, replacement: (match: string) => match };
        expect(
          replaced(
            bytes.filter((byte) => byte > 127),
            options,
            sizes,
          ).equals(bytes.filter((byte) => byte > 127)),
        ).toBe(true);
        expect(replaced(bytes, { pattern: ["not there"], replacement: "" }, sizes).equals(bytes)).toBe(true);
      }),
      bounded(500),
    );
  });

  test("createReplacer takes no byte of a character for white space", () => {
    const bytes = utf8("à\u00a0 b");
    expect(replaced(bytes, { pattern: /\s/, maxMatchBytes: 1, replacement: "_" }).toString()).toBe("à\u00a0_b");
    expect(replaced(bytes, { pattern: /[\s]/, maxMatchBytes: 1, replacement: "_" }).toString()).toBe("à\u00a0_b");
    expect(replaced(bytes, { pattern: /[^\S]/, maxMatchBytes: 1, replacement: "_" }).toString()).toBe("à\u00a0_b");
  });

  test("createReplacer holds back at most the length of a match", () => {
    const byExpression = createReplacer({ pattern: /x\d{1,8}/, maxMatchBytes: 9, replacement: "" });
    expect(Buffer.from(byExpression.push(utf8("a".repeat(100)))).length).toBe(91);
    const byString = createReplacer({ pattern: "secret", replacement: "" });
    expect(Buffer.from(byString.push(utf8("a sec"))).toString()).toBe("a ");
    expect(Buffer.from(byString.push(utf8("ond"))).toString()).toBe("second");
  });

  test("createReplacer fails if a match is longer than allowed, however it is cut", () => {
    for (const sizes of [[], [1, 1, 1, 1, 1, 1, 1, 1, 1], [5]]) {
      const splitter = createReplacer({ pattern: /\d+/, maxMatchBytes: 4, replacement: "#" });
      const { outputs, failure, rest } = feedAll(splitter, cutInto(utf8("a1234b12345c6"), sizes));
      expect([failure, Buffer.concat(outputs).toString(), rest.toString()]).toEqual([
        "match_too_long",
        "a#b",
        "12345c6",
      ]);
    }
  });

  test.each([
    { pattern: /a*/, maxMatchBytes: 3 },
    { pattern: /é/, maxMatchBytes: 3 },
    { pattern: /a/u, maxMatchBytes: 3 },
    { pattern: /a/y, maxMatchBytes: 3 },
    { pattern: /a/ },
    { pattern: /a/, maxMatchBytes: 0 },
    { pattern: [] },
    { pattern: "" },
  ])("createReplacer refuses $pattern with maxMatchBytes $maxMatchBytes", (options) => {
    expect(() => createReplacer({ ...options, replacement: "" })).toThrow(TypeError);
  });

  test("createReplacer can be iterated", async () => {
    const pieces: Uint8Array[] = [];
    for await (const piece of replacedChunks([utf8("a se"), utf8("cret")], { pattern: "secret", replacement: "*" }))
      pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe("a *");
  });
});
