import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadScenarios } from "../scenarios/load-scenarios.ts";
import { prose, readDocument, root } from "./markdown.ts";

const document = readDocument("docs/envoy-behaviour.md");

/** What stands in brackets that are no links, split at semicolons. */
const cited = [...prose(document).matchAll(/(?<!\])\[([^\]]+)\](?!\()/g)].flatMap(([, text = ""]) =>
  text.replaceAll(/\s+/g, " ").split("; "),
);
const citedRows = new Set(cited.flatMap((text) => /^row (\d+\w?)$/.exec(text)?.[1] ?? []));
const others = [...new Set(cited.filter((text) => !text.startsWith("row ")))];

const rows = new Set(testNames("test/envoy/rows").flatMap(({ name }) => /^row (\d+\w?): /.exec(name)?.[1] ?? []));
const scenarios = new Map(loadScenarios().map(({ topic, scenarios: list }) => [topic, list.map(({ name }) => name)]));
const tests = testNames("test/envoy");

/** The names of the tests of a folder, as they are written. */
function testNames(folder: string): { readonly file: string; readonly name: string }[] {
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith(".test.ts"));
  return files.flatMap((file) => {
    const names = [...readDocument(`${folder}/${file}`).matchAll(/^\s+(?:test[^"`]*\(\s*)?(["`])(.*?)\1,/gm)];
    // What a name is told by `${…}`, `%s` or `%d` may be anything.
    return names.map(([, , name = ""]) => ({ file, name: name.replaceAll(/\$\{[^}]*\}|%[sd]/g, "…") }));
  });
}

/** Whether a name is the one that is cited, in which `…` stands for anything. */
function isNamed(citedName: string, name: string): boolean {
  const pattern = citedName.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${pattern.join(".*")}$`).test(name);
}

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
