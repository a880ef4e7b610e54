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
    addFile("src/memory/bad.ts", "export interface MessageExchange {\n  readonly at: number;\n}\n");
    expect(problems()).toEqual([
      "src/memory/bad.ts and src/protocol/exchange/exchange.ts export a type MessageExchange: rename one of them",
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

  test("refuses a variable of a module that changes", () => {
    addFile("src/memory/bad.ts", "let count = 0;\n\nexport function next(): number {\n  return ++count;\n}\n");
    expect(problems()).toEqual([
      expect.stringContaining("src/memory/bad.ts: count changes, and all of the process shares it"),
    ]);
  });

  test.each([
    ["a Map", "new Map<string, number>()", "known.set(key, 1)"],
    ["an array", "[]", "known.push(key)"],
    ["an element of an array", "new Array(4)", "known[key] = 1"],
    ["a property", "{ last: 0 }", "known.last += 1"],
    ["a set inside an object", "{ all: new Set<string>() }", "known.all.add(key)"],
  ])("refuses %s of a module that a function changes", (_name, value, change) => {
    addFile("src/memory/bad.ts", `const known = ${value};\n\nexport function keep(key: string) {\n  ${change};\n}\n`);
    expect(problems()).toEqual([expect.stringContaining("src/memory/bad.ts: known changes")]);
  });

  test("accepts a table that only the loading of the module fills", () => {
    const filling = "for (const word of WORDS) {\n  KNOWN.set(word, word.length);\n}\n";
    const use = "export function lengthOf(word: string) {\n  return KNOWN.get(word) === 1;\n}\n";
    addFile(
      "src/memory/table.ts",
      `const WORDS = ["a"];\nconst KNOWN = new Map<string, number>();\n${filling}\n${use}`,
    );
    expect(problems()).toEqual([]);
  });

  test("refuses state of the codec without a reason, and accepts it with one", () => {
    const code = "let count = 0;\n\nexport function next(): number {\n  return ++count;\n}\n";
    addFile("src/wire/bad.ts", code);
    expect(problems()).toEqual([expect.stringContaining('src/wire/bad.ts: count changes: write "Module state:"')]);
    addFile("src/wire/bad.ts", `/** Module state: the number of calls so far. */\n${code}`);
    expect(problems()).toEqual([]);
  });

  test("refuses a reason for a file without state", () => {
    addFile("src/text/charset.ts", "export {};\n");
    expect(problems()).toContain("scripts/structure/module-state.mjs: src/text/charset.ts has no state: remove it");
  });
});
