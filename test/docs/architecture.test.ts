import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { Code } from "@connectrpc/connect";
import { describe, expect, test } from "vitest";
import { FAULT_CODES, fault } from "../../src/protocol/fault.ts";
import { faultError } from "../../src/services/process/fault-error.ts";
import { isInProject, readDocument, root, tableRows } from "./markdown.ts";

const document = readDocument("docs/architecture.md");
const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
  .map((path) => `src/${path.replaceAll("\\", "/")}`)
  .filter((path) => path.endsWith(".ts"));
const folders = [...new Set(sources.map(folderOf))].filter((folder) => !folder.endsWith(".ts"));
const entryPoints = sources.filter((path) => path.split("/").length === 2);

describe("docs/architecture.md", () => {
  test.each(folders)("says what %s holds and imports", (folder) => {
    expect(document).toContain(`\n- \`${folder}\`: `);
    const [, imports = ""] = tableRow(folder) ?? [];
    expect([...imports.matchAll(/`([^`]+)`/g)].map(([, name]) => name).sort()).toEqual(importsOf(folder));
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
      folder = /\bsrc\/\w+/.exec(line)?.[0] ?? folder;
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

/** `src/cli/demo/upstream.ts` belongs to `src/cli`; an entry point is its own. */
function folderOf(path: string): string {
  return path.split("/").slice(0, 2).join("/");
}

/** The folders and packages that the files of a folder import, but for those of Node itself. */
function importsOf(folder: string): string[] {
  const names = new Set<string>();
  for (const path of sources.filter((source) => source.startsWith(`${folder}/`))) {
    const text = readFileSync(join(root, path), "utf8");
    for (const [, name = ""] of text.matchAll(/(?:\bfrom |\bimport\(|^import )"([^"]+)"/gm)) {
      if (!name.startsWith(".")) names.add(name);
      else names.add(posix.join(posix.dirname(path), name).replace(/^(gen|src\/[^/]+).*$/, "$1"));
    }
  }
  names.delete(folder);
  return [...names].filter((name) => !name.startsWith("node:")).sort();
}
