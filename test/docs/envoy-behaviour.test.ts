import { describe, expect, test } from "vitest";
import { loadScenarios } from "../scenarios/load-scenarios.ts";
import { prose, readDocument } from "./markdown.ts";
import { isNamed, testNames } from "./test-names.ts";

const document = readDocument("docs/envoy-behaviour.md");

/** What stands in brackets that are not links, split at semicolons. */
const cited = [...prose(document).matchAll(/(?<!\])\[([^\]]+)\](?!\()/g)].flatMap(([, text = ""]) =>
  text.replaceAll(/\s+/g, " ").split("; "),
);
const citedRows = new Set(cited.flatMap((text) => /^row (\d+\w?)$/.exec(text)?.[1] ?? []));
const others = [...new Set(cited.filter((text) => !text.startsWith("row ")))];

const rows = new Set(testNames("test/envoy/rows").flatMap(({ name }) => /^row (\d+\w?): /.exec(name)?.[1] ?? []));
const scenarios = new Map(loadScenarios().map(({ topic, scenarios: list }) => [topic, list.map(({ name }) => name)]));
const tests = testNames("test/envoy");

describe("docs/envoy-behaviour.md", () => {
  test("cites rows, scenarios and tests", () => {
    expect([citedRows.size, others.length].every((count) => count > 60)).toBe(true);
    expect(scenarios.size).toBeGreaterThan(10);
  });

  test("cites every row, and no other", () => {
    const sorted = (numbers: Set<string>) => [...numbers].sort();
    expect(sorted(citedRows)).toEqual(sorted(rows));
  });

  test("cites scenarios of every topic", () => {
    expect([...scenarios.keys()].filter((topic) => !others.some((text) => text.startsWith(`${topic}: `)))).toEqual([]);
  });

  test.each(others)("cites what there is: %s", (text) => {
    const [where = "", ...rest] = text.split(": ");
    const name = rest.join(": ");
    const names = scenarios.get(where) ?? tests.filter(({ file }) => file === where).map((each) => each.name);
    expect(names.filter((each) => isNamed(name, each))).not.toEqual([]);
  });
});
