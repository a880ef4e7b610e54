import { describe, expect, test } from "vitest";
import { withFaultStatuses } from "../../scripts/generated/fault-tables.mjs";
import { withFolderList } from "../../scripts/generated/folder-list.mjs";
import { FOLDERS } from "../../scripts/structure/folders.mjs";
import { readSources } from "../../scripts/structure/sources.mjs";
import { FAULTS } from "../../src/protocol/faults.ts";
import { isInProject, readDocument, root } from "./markdown.ts";

const document = readDocument("docs/architecture.md");
const sources = readSources(root).map(({ path }) => path);
const entryPoints = sources.filter((path) => path.split("/").length === 2);

describe("docs/architecture.md", () => {
  test("the page lists the folders as npm run docs:parts writes them", () => {
    expect(document).toBe(withFolderList(document, FOLDERS));
  });

  test("the page names every entry point", () => {
    expect(entryPoints.filter((path) => !document.includes(`\`${path}\``))).toEqual([]);
  });

  test("every file and folder that the page names exists", () => {
    const named = [...document.matchAll(/\b(?:src|test|proto|gen)\/[\w/-]*(?:\.ts)?/g)].map(([path]) => path);
    expect(named.filter((path) => !isInProject(path))).toEqual([]);
  });

  test("the picture has only files of src, each next to its folder", () => {
    const [, picture = ""] = /^```\n(.*?)^```$/ms.exec(document) ?? [];
    let folder = "";
    const files: string[] = [];
    for (const line of picture.split("\n")) {
      folder = /\bsrc\/[\w/]+/.exec(line)?.[0] ?? folder;
      files.push(...[...line.matchAll(/[\w-]+\.ts/g)].map(([file]) => `${folder}/${file}`));
    }
    expect(files.length).toBeGreaterThan(5);
    expect(files.filter((path) => !sources.includes(path))).toEqual([]);
  });

  test("the page lists the faults as npm run docs:parts writes them", () => {
    expect(document).toBe(withFaultStatuses(document, FAULTS));
  });
});
