import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { SETTINGS } from "../../src/server/settings/settings.ts";
import { codeBlocks, readDocument, root, tableRows } from "./markdown.ts";

const readme = readDocument("README.md");
const blocks = codeBlocks(readme);

test("the first processor of the README is that of examples/greeter, and has ten lines", () => {
  const [first] = blocks;
  expect(first?.text).toBe(readDocument("examples/greeter/processor.js"));
  expect(first?.text.trimEnd().split("\n")).toHaveLength(10);
});

test("the first blocks of the README are processor, test, start command, filter, and curl with its output", () => {
  expect(blocks.slice(0, 7).map(({ language }) => language)).toEqual(["js", "ts", "sh", "yaml", "sh", "sh", "text"]);
});

test("the filter in the README is that of deploy/envoy.yaml", () => {
  const [snippet] = parse(blocks.find(({ language }) => language === "yaml")?.text ?? "");
  const { static_resources } = parse(readDocument("deploy/envoy.yaml"));
  const manager = static_resources.listeners[0].filter_chains[0].filters[0].typed_config;
  expect(manager.http_filters[0]).toMatchObject(snippet);
});

test("the settings in the README are ten rows of docs/settings.md", () => {
  const isSetting = ([first]: readonly string[]) => first?.startsWith("`--");
  const rows = tableRows(readme).filter(isSetting);
  const all = tableRows(readDocument("docs/settings.md")).filter(isSetting);
  expect(rows).toHaveLength(10);
  expect(all).toEqual(expect.arrayContaining(rows));
});

test("the README has the listeners' defaults of src/server/settings/settings.ts", () => {
  for (const [name, setting] of Object.entries({
    main: "listen",
    status: "statusListen",
    admin: "adminListen",
  } as const)) {
    expect(readme).toContain(`- **${name}**, \`${SETTINGS[setting].fallback}\`: `);
  }
});

test("the first test in the README is that of examples/greeter", () => {
  expect(blocks[1]?.text).toBe(readDocument("examples/greeter/processor.test.ts"));
});

test("the programs in the README compile", () => {
  // Those that import a file are files of the project, and compile with it.
  const programs = blocks.filter(({ language, text }) => language === "ts" && !/from "\./.test(text));
  expect(programs.length).toBeGreaterThan(0);
  expect(compile(programs.map(({ text }) => text))).toBe("");
});

/** Compiles programs as a user would, with what they import taken from this project; gives what the compiler says. */
function compile(programs: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-readme-"));
  try {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(root, join(folder, "node_modules/ext-proc"), "junction");
    const files = programs.map((text, index) => {
      writeFileSync(join(folder, `program-${index}.ts`), text);
      return `program-${index}.ts`;
    });
    const compilerOptions = {
      ...{ target: "es2023", lib: ["es2023"], module: "nodenext", strict: true, noEmit: true },
      ...{ exactOptionalPropertyTypes: true, typeRoots: [join(root, "node_modules/@types")], types: ["node"] },
    };
    writeFileSync(join(folder, "package.json"), JSON.stringify({ type: "module" }));
    writeFileSync(join(folder, "tsconfig.json"), JSON.stringify({ compilerOptions, files }));
    const compiler = join(root, "node_modules/typescript/bin/tsc");
    execFileSync(process.execPath, [compiler, "-p", folder], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    return "";
  } catch (error) {
    return (error as { readonly stdout: string }).stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
