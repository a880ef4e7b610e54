import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { failureCode, failureName, failureText } from "../../src/text/failure-text.ts";

function hostile(property: string): Error {
  return Object.defineProperty(new Error("x"), property, {
    get() {
      throw new Error("no");
    },
  });
}

describe("failureText", () => {
  test.each<[string, unknown, string]>([
    ["the message of an Error", new Error("no keys"), "no keys"],
    ["a text", "no keys", "no keys"],
    ["a number", 7, "7"],
    ["the message of another object", { message: "no keys" }, "no keys"],
    ["nothing for undefined", undefined, ""],
    ["nothing for null", null, ""],
    ["nothing for an object without a message", {}, ""],
    ["nothing for a message that throws", hostile("message"), ""],
    ["the messages of all causes", new Error("a", { cause: new Error("b", { cause: "c" }) }), "a: b: c"],
    ["once what a wrapper repeats", new Error("failed: b", { cause: new Error("b") }), "failed: b"],
    ["the first of several errors that have no message", new AggregateError([new Error("refused"), "x"]), "refused"],
    ["one line", new Error("a\r\n  b\u2028c"), "a b c"],
    ["control characters as escapes", "a\u0000\u001b[1m\u009b\u202e", "a\\u{0}\\u{1b}[1m\\u{9b}\\u{202e}"],
    [
      "a URL without its password",
      "redis://:s3cret@cache:6379 and HTTPS://me@x/",
      "redis://***@cache:6379 and HTTPS://***@x/",
    ],
    ["a URL whose path has an @ as it is", "https://registry/@scope/x", "https://registry/@scope/x"],
  ])("failureText gives %s", (_name, thrown, text) => {
    expect(failureText(thrown)).toBe(text);
  });

  test("failureText ends if the causes form a cycle", () => {
    const error = new Error("a");
    error.cause = new Error("b", { cause: error });
    expect(failureText(error)).toBe("a: b");
  });

  test("failureText is one line of at most 500 characters without control characters, whatever was thrown", () => {
    const anything = fc.anything({ withBigInt: true, withNullPrototype: true, withDate: true });
    const error = fc
      .record({ message: fc.string({ unit: "binary", maxLength: 3_000 }), cause: anything })
      .map(({ message, cause }) => new Error(message, { cause }));
    fc.assert(
      fc.property(fc.oneof(error, anything, fc.string({ unit: "binary" })), (thrown) => {
        const text = failureText(thrown);
        expect(text.length).toBeLessThanOrEqual(500);
        expect(text).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u);
        expect(["undefined", "string", "number"]).toContain(typeof failureCode(thrown));
      }),
    );
  });
});

describe("failureCode and failureName", () => {
  test.each(["code", "name", "cause", "errors"])(
    "failureCode and failureName survive an Error whose %s throws",
    (property) => {
      expect(failureCode(hostile(property))).toBeUndefined();
      expect(failureName(hostile(property))).toBe(property === "name" ? undefined : "Error");
    },
  );

  test.each(["", " ", "a b", "a:b", "-a", "a\nb", "x".repeat(49), 0.5, null, {}, Symbol("x")])(
    "failureCode does not take %j for a code",
    (code) => {
      expect(failureCode({ code })).toBeUndefined();
    },
  );
});
