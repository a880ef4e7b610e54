import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { nameExpression, refuseNameExpression } from "../../src/text/name-expression.ts";

describe("an expression for header names", () => {
  test.each([
    ["x-a", ["x-a"], ["x-ab", "xx-a", ""]],
    ["x-.*", ["x-", "x-a", "x-envoy-b"], ["y-a"]],
    ["x-(?:int|env).*|host", ["x-int", "x-envoy", "host"], ["x-i", "hosts"]],
    ["(?P<a>x)(y)?", ["x", "xy"], ["y", "xyy"]],
    ["(?i)X-A", ["x-a", "X-a"], []],
    ["(?i:X)-A", ["x-A"], ["x-a"]],
    ["a(?i)B|C", ["ab", "aB", "c"], ["AB"]],
    ["[[:alpha:]]{2}[^[:digit:]_]", ["ab-"], ["ab1", "ab_", "a1-"]],
    ["[]a-]+", ["]", "a-]"], ["b"]],
    ["\\w+\\-\\d\\D", ["x_1-2a"], ["x-12"]],
    ["^x$", ["x"], ["xx"]],
    ["\\Ax\\z", ["x"], ["ax"]],
    ["x\\b-a", ["x-a"], []],
    ["x\\Ba", ["xa"], []],
    ["\\Qa.b\\E+", ["a.b"], ["axb"]],
    ["\\x61\\x{62}\\143", ["abc"], ["abC"]],
    ["\\pL+\\p{Nd}", ["ab1"], ["1a"]],
    ["a{2}b{1,2}c{0,}", ["aab", "aabbcc"], ["ab", "aabbb"]],
    ["a{,2}", ["a{,2}"], ["aa"]],
    ["a*?b+?", ["b", "aab"], ["a"]],
    ["", [""], ["a"]],
    ["a||b", ["a", "", "b"], ["ab"]],
  ] as const)("an expression for header names matches whole names only: %j", (pattern, matched, unmatched) => {
    const expression = nameExpression(pattern);
    for (const name of matched) expect([name, expression.matches(name)]).toEqual([name, true]);
    for (const name of unmatched) expect([name, expression.matches(name)]).toEqual([name, false]);
  });

  test("an expression for header names means the same as in JavaScript, if both have the syntax", () => {
    const atom = fc.constantFrom("a", "b", "-", ".", "[ab]", "[^a]", "[a-c]", "\\w", "\\d", "(a|b)", "(?:ab)", "(b|)");
    const repeated = fc.tuple(atom, fc.constantFrom("", "*", "+", "?", "{2}", "{1,2}", "*?")).map(([a, r]) => a + r);
    const pattern = fc.array(
      fc.array(repeated, { maxLength: 4 }).map((list) => list.join("")),
      { minLength: 1, maxLength: 3 },
    );
    const name = fc.string({ unit: fc.constantFrom("a", "b", "c", "-", "1"), maxLength: 8 });
    fc.assert(
      fc.property(pattern, name, (alternatives, text) => {
        const written = alternatives.join("|");
        expect(nameExpression(written).matches(text)).toBe(new RegExp(`^(?:${written})$`).test(text));
      }),
      { numRuns: 2_000 },
    );
  });

  test("an expression for header names takes linear time if JavaScript's own takes exponential time", () => {
    const started = performance.now();
    expect(nameExpression("(a+)+b").matches("a".repeat(20_000))).toBe(false);
    expect(performance.now() - started).toBeLessThan(5_000);
  });

  test.each([
    ["(", "missing closing )"],
    ["a)", "unexpected )"],
    ["[a", "missing closing ]"],
    ["[b-a]", "invalid character class range"],
    ["*a", "missing argument to repetition operator"],
    ["a**", "invalid nested repetition operator"],
    ["a{1001}", "invalid repeat count"],
    ["a{2,1}", "invalid repeat count"],
    ["(?=a)", "invalid or unsupported Perl syntax"],
    ["(a)\\1", "invalid escape sequence"],
    ["\\y", "invalid escape sequence"],
    ["a\\", "trailing backslash at end of expression"],
    ["[[:no:]]", "invalid character class range"],
    ["(a{100}){100}", "invalid repeat count"],
  ])("an expression for header names is refused if RE2 does not have it: %j", (pattern, problem) => {
    expect(refuseNameExpression(pattern)).toContain(
      `${JSON.stringify(pattern)} is not an RE2 expression: error parsing regexp: ${problem}`,
    );
  });

  test.each(["", undefined, 5])("an expression for header names must be a text that is not empty: %j", (pattern) => {
    expect(refuseNameExpression(pattern)).toContain("must be an RE2 expression that is not empty");
  });
});
