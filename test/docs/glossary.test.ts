import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { isInProject, readDocument, root, tableRows } from "./markdown.ts";

const rows = tableRows(readDocument("docs/glossary.md")).slice(2);
const nouns = rows.map(([noun = ""]) => noun);
const sources = readdirSync(`${root}src`, { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".ts"));
const exported = new Set(
  sources.flatMap((file) => {
    const names = readDocument(`src/${file}`).matchAll(/^export (?:class|interface|type|function|const) (\w+)/gm);
    return [...names].map(([, name = ""]) => name);
  }),
);

describe("docs/glossary.md", () => {
  test("the glossary lists each noun once, in alphabetical order, with a meaning", () => {
    expect(nouns.length).toBeGreaterThan(40);
    expect(nouns).toEqual([...new Set(nouns)].toSorted());
    expect(rows.filter((cells) => cells.length !== 3 || cells[1] === "")).toEqual([]);
  });

  test("the glossary names only types, functions and folders that exist", () => {
    const named = rows.flatMap(([, , cell = ""]) => [...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name));
    expect(named.length).toBeGreaterThan(40);
    expect(named.filter((name) => !(name.includes("/") ? isInProject(name) : exported.has(name)))).toEqual([]);
  });

  test.each(["README.md", "docs/architecture.md", "CONTRIBUTING.md"])("%s links to the glossary", (page) => {
    expect(readDocument(page)).toContain("glossary.md)");
  });
});
