import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FOLDERS } from "../../scripts/structure/folders.mjs";
import { structureProblems } from "../../scripts/structure/rules.mjs";
import { readSources } from "../../scripts/structure/sources.mjs";
import { root } from "../docs/markdown.ts";

let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), "ext-proc-structure-"));
  cpSync(join(root, "src"), join(copy, "src"), { recursive: true });
});

afterEach(() => rmSync(copy, { recursive: true }));

const problems = (folders: Parameters<typeof structureProblems>[1] = FOLDERS) =>
  structureProblems(readSources(copy), folders);

function addFile(path: string, text: string): void {
  writeFileSync(join(copy, path), text);
}

describe("the lint of the structure of src", () => {
  test("finds nothing in src as it is", () => {
    expect(problems()).toEqual([]);
  });

  test("refuses an import of a folder that may not be imported", () => {
    addFile("src/protocol/bad.ts", 'import { serve } from "../server/serve.ts";\nexport const bad = serve;\n');
    expect(problems()).toEqual([
      expect.stringContaining("src/protocol/bad.ts: imports src/server. src/protocol may import src/text, @bufbuild"),
    ]);
  });

  test("refuses an import of a package that may not be imported", () => {
    addFile("src/session/bad.ts", 'import pino from "pino";\nexport const bad = pino;\n');
    expect(problems()).toEqual([expect.stringContaining("src/session/bad.ts: imports pino. src/session may import")]);
  });

  test("refuses an import cycle between folders, even if the table allows both directions", () => {
    addFile("src/text/bad.ts", 'import { PHASES } from "../protocol/phase.ts";\nexport const bad = PHASES;\n');
    const text = { holds: "", imports: ["protocol"] };
    expect(problems({ ...FOLDERS, text })).toEqual([
      expect.stringContaining("src/text imports src/protocol, which comes after it"),
    ]);
  });

  test("refuses a permission that no file uses", () => {
    const memory = { holds: "", imports: ["text"] };
    expect(problems({ ...FOLDERS, memory })).toEqual([
      "scripts/structure/folders.mjs: src/memory may import src/text, and no file does: remove it",
    ]);
  });

  test("refuses two exported types of one name", () => {
    addFile("src/memory/bad.ts", "export interface Exchange {\n  readonly at: number;\n}\n");
    expect(problems()).toEqual([
      "src/memory/bad.ts and src/protocol/exchange/exchange.ts export a type Exchange: rename one of them",
    ]);
  });

  test("refuses a file of more than 400 lines", () => {
    addFile("src/memory/bad.ts", "export const a = 1;\n".repeat(401));
    expect(problems()).toEqual(["src/memory/bad.ts: has 401 lines, must have 400 at most"]);
  });

  test("refuses a folder of more than 16 files", () => {
    for (let at = 0; at < 17; at++) addFile(`src/builtin/bad-${at}.ts`, "export {};\n");
    expect(problems()).toEqual(["src/builtin: has 19 files, must have 16 at most: make folders of it"]);
  });
});
