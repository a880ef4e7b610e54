import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { FOLDERS } from "../../scripts/structure/folders.mjs";
import { withFolderList } from "../../scripts/structure/list.mjs";
import { readSources } from "../../scripts/structure/sources.mjs";
import { FAULT_CODES, fault } from "../../src/protocol/fault.ts";
import { faultError } from "../../src/services/process/fault-error.ts";
import { isInProject, readDocument, root, tableRows } from "./markdown.ts";

const document = readDocument("docs/architecture.md");
const sources = readSources(root).map(({ path }) => path);
const entryPoints = sources.filter((path) => path.split("/").length === 2);

describe("docs/architecture.md", () => {
  test("lists the folders as npm run docs:folders writes them", () => {
    expect(document).toBe(withFolderList(document, FOLDERS));
  });

  test("names every entry point", () => {
    expect(entryPoints.filter((path) => !document.includes(`\`${path}\``))).toEqual([]);
  });

  test("names no file or folder that is not there", () => {
    const named = [...document.matchAll(/\b(?:src|test|proto|gen)\/[\w/-]*(?:\.ts)?/g)].map(([path]) => path);
    expect(named.filter((path) => !isInProject(path))).toEqual([]);
  });

  test("has only files of src in its picture, each next to its folder", () => {
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

  test.each(FAULT_CODES)("says who is to blame for %s, and its gRPC status", (code) => {
    const { source } = fault(code, "");
    const status = Code[faultError(fault(code, "")).code]?.replaceAll(/(?<=[a-z])[A-Z]/g, "_$&").toUpperCase();
    expect(tableRow(code)).toEqual([`\`${code}\``, `\`${source}\``, status]);
  });
});

/** The row whose first cell is this name. */
function tableRow(name: string): string[] | undefined {
  return tableRows(document).find(([first]) => first === `\`${name}\``);
}
