import { describe, expect, test } from "vitest";
import { writeJson } from "../../../src/bodies/json/json-merge.ts";

// biome-ignore lint/suspicious/noExplicitAny: values as a handler has them
type Value = any;

function written(source: string, change: (value: Value) => unknown): string | undefined {
  const result = writeJson(change(JSON.parse(source)), source);
  return "text" in result ? result.text : undefined;
}

describe("writeJson", () => {
  test.each<[string, string, (value: Value) => unknown, string]>([
    [
      "digits that a double does not hold",
      '{"id":12345678901234567890,"n":1}',
      (v) => ({ ...v, n: 2 }),
      '{"id":12345678901234567890,"n":2}',
    ],
    ["zeros at the end of a number", '{"p":1.10,"n":1}', (v) => ({ ...v, n: 2 }), '{"p":1.10,"n":2}'],
    ["a number beyond a double", '{"e":1e400,"n":1}', (v) => ({ ...v, n: 2 }), '{"e":1e400,"n":2}'],
    ["escapes of a string", '{"s":"\\u00e9\\/","n":1}', (v) => ({ ...v, n: 2 }), '{"s":"\\u00e9\\/","n":2}'],
    ["names that look like numbers", '{"b":1,"2":2,"1":3}', (v) => ({ ...v, b: 4 }), '{"b":4,"2":2,"1":3}'],
    ["a name that comes twice", '{"a":1,"a":2,"b":3}', (v) => ({ ...v, b: 4 }), '{"a":1,"a":2,"b":4}'],
    ["__proto__", '{"__proto__":{"x":1.0},"b":3}', (v) => ({ ...v, b: 4 }), '{"__proto__":{"x":1.0},"b":4}'],
    ["white space", '{ "a" : [ 1.0 ,2 ] ,\n "b" : 3 }', (v) => ({ ...v, b: 4 }), '{ "a" : [ 1.0 ,2 ] ,\n "b" : 4 }'],
    ["a value that is wrapped", "[1.10,2]", (v) => ({ data: v }), '{"data":[1.10,2]}'],
    ["a value that is unwrapped", '{"data":[1.10,2]}', (v) => v.data, "[1.10,2]"],
    [
      "a changed value that is wrapped",
      '{"p":1.10,"q":1}',
      (v) => ({ data: { ...v, q: 2 } }),
      '{"data":{"p":1.10,"q":2}}',
    ],
    [
      "a large number under another name",
      '{"a":12345678901234567890}',
      (v) => ({ b: v.a }),
      '{"b":12345678901234567890}',
    ],
    [
      "elements around a removed one",
      "[1.10, 2.20,\n3.30]",
      (v) => v.filter((x: number) => x !== 2.2),
      "[1.10,\n3.30]",
    ],
    ["elements of another order", "[1.10,[2.0],3e0]", (v) => v.reverse(), "[3e0,[2.0],1.10]"],
    [
      "members of elements that are all changed, and of which some are removed",
      '[{"id":12345678901234567890,"n":"a"},{"id":12345678901234567891,"n":"b"}]',
      (v) => v.slice(1).map((x: object) => ({ ...x, seen: true })),
      '[{"id":12345678901234567891,"n":"b","seen":true}]',
    ],
  ])("writeJson keeps %s", (_what, source, change, expected) => {
    expect(written(source, change)).toBe(expected);
  });

  test.each<[string, string, (value: Value) => unknown, string]>([
    ["null for a number beyond a double", '{"e":1e400}', (v) => ({ ...v, e: null }), '{"e":null}'],
    ["the one value of a name that came twice", '{"a":1,"b":2,"a":3}', (v) => ({ ...v, a: 4 }), '{"b":2,"a":4}'],
    ["nothing of a name that came twice", '{"a":1,"b":2,"a":3}', ({ b }) => ({ b }), '{"b":2}'],
    ["a member in the manner of the others", '{\n  "a": 1\n}', (v) => ({ ...v, b: 2 }), '{\n  "a": 1,\n  "b": 2\n}'],
    ["nothing of the last member", '{ "a": 1, "b": 2 }', ({ a }) => ({ a }), '{ "a": 1 }'],
    ["nothing of any", '{ "a": 1 }', () => ({}), "{}"],
    ["what toJSON gives", '{"a":1}', () => ({ a: new Date(0) }), '{"a":"1970-01-01T00:00:00.000Z"}'],
    ["nothing of undefined", '{"a":1.0,"b":2}', (v) => ({ ...v, b: undefined }), '{"a":1.0}'],
    ["null for what an array cannot leave out", "[1.0,2]", ([a]) => [a, undefined], "[1.0,null]"],
    ["a short number as it is, though it stands elsewhere in another form", '{"a":1.0}', () => ({ b: 1 }), '{"b":1}'],
  ])("writeJson writes %s", (_what, source, change, expected) => {
    expect(written(source, change)).toBe(expected);
  });

  test("writeJson refuses to guess between several numbers that look the same", () => {
    const source = '{"ids":[12345678901234567890,12345678901234567891]}';
    expect(writeJson(JSON.parse('{"ids":[12345678901234567890]}'), source)).toMatchObject({
      problem: expect.stringContaining("more than 15 digits"),
    });
    expect(written(source, (v) => ({ ...v, ids: [...v.ids], n: 1 }))).toBe(`${source.slice(0, -1)},"n":1}`);
  });

  test.each([
    ["a function", () => undefined],
    ["undefined", undefined],
    ["a bigint", { a: 1n }],
    [
      "a cycle",
      (() => {
        const a: Value = {};
        a.b = { a };
        return a;
      })(),
    ],
  ])("writeJson reports that %s cannot be written", (_what, value) => {
    expect(writeJson(value, '{"a":1}')).toEqual({ problem: "its value cannot be written as JSON" });
    expect(writeJson(value, undefined)).toEqual({ problem: "its value cannot be written as JSON" });
  });

  test("writeJson copies a value that is nested 200,000 deep, without deep recursion", () => {
    const deep = `{"deep":${"[".repeat(200_000)}1.10${"]".repeat(200_000)},"n":1}`;
    expect(written(deep, (v) => ({ ...v, n: 2 }))).toBe(deep.replace('"n":1', '"n":2'));
  });

  test("writeJson takes time in proportion to the text if every level is changed", () => {
    const nested = (depth: number) => `${"[1.0,".repeat(depth)}0${",2.0]".repeat(depth)}`;
    const cpuMs = (depth: number) => {
      const source = nested(depth);
      let value = JSON.parse(source) as Value;
      const root = value;
      while (Array.isArray(value[1])) value = value[1];
      value[1] = 7;
      const before = process.cpuUsage();
      const result = writeJson(root, source);
      const ms = process.cpuUsage(before).user / 1000;
      expect("text" in result && result.text === source.replace("1.0,0,", "1.0,7,")).toBe(true);
      return ms;
    };
    const leastMs = (depth: number) => Math.min(...Array.from({ length: 5 }, () => cpuMs(depth)));
    const shallowMs = leastMs(1000);
    // Quadratic time would be 400 times as long.
    expect(leastMs(20_000)).toBeLessThan(100 * Math.max(0.5, shallowMs));
  });

  test.each<readonly [string, (length: number) => string, (value: Value) => Value]>([
    ["elements that are wrapped", (n) => `[${numbers(n)}]`, (v) => v.map((each: Value) => [each, 1])],
    ["elements that become one", (n) => `[${numbers(n)}]`, (v) => ({ list: v.map((each: Value) => [each]) })],
    [
      "members that become objects",
      (n) => `{${members(n)}}`,
      (v) => Object.entries(v).map(([k, each]) => ({ [k]: each })),
    ],
    ["elements in reverse", (n) => `[${numbers(n)}]`, (v) => [...v].reverse()],
  ])("writeJson takes time in proportion to the text for %s", (_what, source, change) => {
    const cpuMs = (length: number) => {
      const text = source(length);
      const value = change(JSON.parse(text));
      const before = process.cpuUsage();
      expect(writeJson(value, text)).toHaveProperty("text");
      return process.cpuUsage(before).user / 1000;
    };
    const leastMs = (length: number) => Math.min(cpuMs(length), cpuMs(length), cpuMs(length));
    const shortMs = leastMs(300);
    // Quadratic time would be 400 times as long.
    expect(leastMs(6_000)).toBeLessThan(100 * Math.max(0.5, shortMs));
  });
});

function numbers(length: number): string {
  return Array.from({ length }, (_, index) => `${index}.10`).join();
}

function members(length: number): string {
  return Array.from({ length }, (_, index) => `"k${index}":${index}.10`).join();
}
