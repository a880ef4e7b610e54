import { describe, expect, test } from "vitest";
import { citedTests, rulesOf, withRules } from "../../scripts/generated/rules-and-tests.mjs";
import { scenarioNames, testNames } from "../../scripts/generated/test-names.mjs";
import { loadScenarios } from "../scenarios/load-scenarios.ts";
import { prose, readDocument } from "./markdown.ts";

const document = readDocument("docs/envoy-behaviour.md");
const entries = rulesOf(document);
const rules = entries.flatMap((entry) => ("rule" in entry ? [entry] : []));
const citations = [...new Set(rules.flatMap((rule) => rule.citations))];
const scenarios = scenarioNames();
const names = [...testNames("test/envoy"), ...scenarios];

/** The citations in brackets that are not links. */
const inBrackets = [...prose(document).matchAll(/(?<!\])\[([^\]]+)\](?!\()/g)]
  .slice(1)
  .flatMap(([, text = ""]) => text.replaceAll(/\s+/g, " ").split("; "));

describe("docs/envoy-behaviour.md", () => {
  test("every rule has a proof", () => {
    expect(rules.length).toBeGreaterThan(150);
    expect(rules.filter((rule) => rule.citations.length === 0)).toEqual([]);
  });

  test("every citation belongs to a rule", () => {
    expect(inBrackets.filter((text) => !citations.includes(text))).toEqual([]);
  });

  test.each(citations)("a test or scenario exists for the citation %s", (citation) => {
    expect(citedTests(citation, names)).not.toEqual([]);
  });

  test("every row in test/envoy/rows is cited", () => {
    const rows = testNames("test/envoy/rows").flatMap(({ name }) => /^row \d+\w?(?=: )/.exec(name) ?? []);
    expect(rows.length).toBeGreaterThan(60);
    expect(rows.filter((row) => !citations.includes(row))).toEqual([]);
  });

  test("scenarios of every topic are cited", () => {
    const topics = loadScenarios().map(({ topic }) => topic);
    expect(topics.length).toBeGreaterThan(10);
    expect(topics.filter((topic) => !citations.some((text) => text.startsWith(`${topic}: `)))).toEqual([]);
  });

  test("the index of rules knows every scenario", () => {
    const loaded = loadScenarios().flatMap(({ topic, scenarios: list }) => list.map(({ name }) => `${topic}: ${name}`));
    expect(scenarios.map(({ file, name }) => `${file.replace(".yaml", "")}: ${name}`)).toEqual(loaded);
  });
});

test("docs/contributing/rules-and-tests.md lists the rules as npm run docs:parts writes them", () => {
  const page = readDocument("docs/contributing/rules-and-tests.md");
  expect(page).toBe(withRules(page, entries, names));
});
