import { cpSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { returnTypeProblems } from "../../scripts/structure/return-types.mjs";
import { root } from "../docs/markdown.ts";

let copy: string;

beforeEach(() => {
  copy = mkdtempSync(join(tmpdir(), "ext-proc-returns-"));
  cpSync(join(root, "src"), join(copy, "src"), { recursive: true });
  for (const name of ["tsconfig.json", "package.json"]) cpSync(join(root, name), join(copy, name));
  for (const name of ["gen", "node_modules"]) symlinkSync(join(root, name), join(copy, name));
});

afterEach(() => rmSync(copy, { recursive: true }));

/** The places in a new file that the rule names. */
function placesIn(text: string): string[] {
  writeFileSync(join(copy, "src/text/bad.ts"), `import type { Problem } from "./problem.ts";\n${text}`);
  return returnTypeProblems(copy).map((line) => line.slice(0, line.indexOf(":")));
}

describe("the lint of the return types of src", () => {
  test("the lint of return types finds nothing in src as it is", () => {
    expect(returnTypeProblems(copy)).toEqual([]);
  });

  test("the lint of return types refuses a text or a word in a union with another type, in everything that a file exports", () => {
    const text = `
      type Hidden = { readonly port: number } | string;
      export function parse(): Hidden { return ""; }
      export async function read(): Promise<Uint8Array | "refused"> { return "refused"; }
      export const arrow = (): number | string | undefined => undefined;
      export class Reader {
        get end(): boolean | "unknown" { return "unknown"; }
        next(): Uint8Array | Problem | "none" { return "none"; }
        static open(): Reader | string { return ""; }
      }
      export interface Source { read(): readonly number[] | string; readonly write: () => Source | string }
      export type Check = (value: unknown) => object | string;
    `;
    expect(placesIn(text).toSorted()).toEqual([
      "src/text/bad.ts Check",
      "src/text/bad.ts Reader.end",
      "src/text/bad.ts Reader.next",
      "src/text/bad.ts Reader.open",
      "src/text/bad.ts Source.read",
      "src/text/bad.ts Source.write",
      "src/text/bad.ts arrow",
      "src/text/bad.ts parse",
      "src/text/bad.ts read",
    ]);
  });

  test("the lint of return types accepts texts, words, problems and JSON, and what a file keeps for itself", () => {
    const text = `
      export function check(): string | undefined { return undefined; }
      export function word(): "a" | "b" | null { return null; }
      export function parse(): { readonly port: number } | Problem { return { problem: "" }; }
      export function decode(): string | Problem | Promise<string> { return ""; }
      export function json(): string | number | boolean | null | readonly unknown[] { return null; }
      function own(): number | string { return 1; }
      export class Reader {
        #next(): number | string { return own(); }
        has(value: number | string): boolean { return value === this.#next(); }
      }
    `;
    expect(placesIn(text)).toEqual([]);
  });

  test("the lint of return types refuses a permission that no function needs", () => {
    expect(returnTypeProblems(copy, { "src/text/gone.ts gone": "" })).toContain(
      "scripts/structure/return-types.mjs: allows src/text/gone.ts gone, which needs no permission: remove it",
    );
  });
});
