import { expect, test } from "vitest";
import { knownChange, rememberChange, type ValueChange } from "../../src/wire/known-changes.ts";

function change(op: ValueChange["op"], name: string, value: string): ValueChange {
  return { op, name, value: Buffer.from(value) };
}

test("a change that was remembered is found again by its operation, name and value", () => {
  const set = change("set", "x-known", "one");
  rememberChange("X-Known", "one", set);
  expect(knownChange("set", "X-Known", "one")).toBe(set);
  expect(knownChange("append", "X-Known", "one")).toBeUndefined();
  expect(knownChange("set", "x-known", "one")).toBeUndefined();
  expect(knownChange("set", "X-Known", "two")).toBeUndefined();
});

test("a change with a long value or a long name is not remembered", () => {
  const [long, short] = ["a".repeat(129), "b"];
  rememberChange("x-long-value", long, change("set", "x-long-value", long));
  rememberChange(long, short, change("set", long, short));
  expect(knownChange("set", "x-long-value", long)).toBeUndefined();
  expect(knownChange("set", long, short)).toBeUndefined();
});

test("texts of different lengths do not share a change, even if they share a slot", () => {
  // The slot depends on 5 times the length of the name and 3 times the length of the value.
  const [a, b] = [change("set", "aaaaa", "c".repeat(6)), change("set", "aa", "c".repeat(11))];
  rememberChange(a.name, "c".repeat(6), a);
  rememberChange(b.name, "c".repeat(11), b);
  expect(knownChange("set", "aaaaa", "c".repeat(6))).toBeUndefined();
  expect(knownChange("set", "aa", "c".repeat(11))).toBe(b);
});
