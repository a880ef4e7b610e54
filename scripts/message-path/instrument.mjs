// A copy of built code that says which file runs: each function begins with a call of `globalThis.entered("its/file.js")`.
import { cpSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseAst } from "vitest/node";

/**
 * @param {string} from A folder of built code.
 * @param {string} to Its copy. Imports of packages and of `gen` must resolve from there too.
 */
export function instrumentFolder(from, to) {
  cpSync(from, to, { recursive: true });
  for (const entry of readdirSync(to, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile() || !entry.name.endsWith(".js")) continue;
    const path = join(entry.parentPath, entry.name);
    writeFileSync(path, instrument(readFileSync(path, "utf8"), relative(to, path)));
  }
}

/**
 * @param {string} code
 * @param {string} name
 */
export function instrument(code, name) {
  const call = `globalThis.entered?.(${JSON.stringify(name)})`;
  /** @type {{ at: number, text: string }[]} */
  const insertions = [];
  for (const body of functionBodies(parseAst(code))) {
    if (body.type === "BlockStatement") insertions.push({ at: body.start + 1, text: `${call};` });
    else insertions.push({ at: body.start, text: `(${call}, ` }, { at: body.end, text: ")" });
  }
  let changed = code;
  for (const { at, text } of insertions.toSorted((a, b) => b.at - a.at)) {
    changed = changed.slice(0, at) + text + changed.slice(at);
  }
  return changed;
}

/**
 * @param {any} node Of ESTree.
 * @returns {Generator<{ type: string, start: number, end: number }>}
 */
function* functionBodies(node) {
  if (typeof node !== "object" || node === null) return;
  if (/Function/.test(node.type ?? "") && node.body) yield node.body;
  for (const child of Object.values(node)) yield* functionBodies(child);
}
