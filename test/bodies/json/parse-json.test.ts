import { expect, test } from "vitest";
import { MAX_JSON_DEPTH, parseJson } from "../../../src/bodies/json/parse-json.ts";
import { createJsonLineParser, createSseSplitter } from "../../../src/index.ts";

const nested = (depth: number, inner = "") => "[".repeat(depth) + inner + "]".repeat(depth);
const long = JSON.stringify("x".repeat(10_000));
const tooDeep = { problem: "is JSON nested deeper than 1000 levels" };

test("a long text that is nested deeper than 1,000 levels is refused before it is parsed", () => {
  expect(parseJson("[".repeat(900_000))).toEqual(tooDeep);
  expect(parseJson(nested(MAX_JSON_DEPTH + 1, long))).toEqual(tooDeep);
  expect(parseJson('{"a":'.repeat(MAX_JSON_DEPTH + 1) + long)).toEqual(tooDeep);
});

test("a long text that is nested 1,000 levels deep is parsed", () => {
  const text = nested(MAX_JSON_DEPTH, long);
  expect(parseJson(text)).toEqual({ value: JSON.parse(text) });
});

test("brackets in strings and side by side do not count as depth", () => {
  for (const text of [JSON.stringify('[{\\"'.repeat(5000)), `[${Array(5000).fill("[[]]").join()}]`])
    expect(parseJson(text)).toEqual({ value: JSON.parse(text) });
});

test("a short text may be nested as deep as it is long", () => {
  expect(parseJson(nested(4000))).toHaveProperty("value");
});

test("a text that is not JSON is refused", () => {
  expect(parseJson("{nope")).toEqual({ problem: "is not JSON" });
});

test("a line of NDJSON and the data of an event that are nested too deep are not values", () => {
  const text = "[".repeat(900_000);
  expect(
    createJsonLineParser()
      .push(Buffer.from(`${text}\n`))
      .map(({ kind }) => kind),
  ).toEqual(["invalid"]);
  expect(
    createSseSplitter()
      .push(Buffer.from(`data: ${text}\n\n`))
      .map(({ json }) => json),
  ).toEqual([undefined]);
});
