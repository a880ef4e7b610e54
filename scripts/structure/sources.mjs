// What the files of src import and export, as text patterns find it: Biome writes all imports in one form.
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { moduleState } from "./module-state.mjs";

/**
 * @typedef {object} Source
 * @property {string} path From the project's root: `src/server/serve.ts`.
 * @property {string} folder Without `src/`; empty for an entry point.
 * @property {readonly string[]} imports Files of the project by their path, packages by their name. Node's own are left out.
 * @property {readonly string[]} types The names of the types and classes that it declares and exports.
 * @property {number} lines
 * @property {readonly import("./module-state.mjs").ModuleState[]} state
 */

/**
 * @param {string} root The project's root.
 * @returns {readonly Source[]}
 */
export function readSources(root) {
  return readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((path) => `src/${path.replaceAll("\\", "/")}`)
    .filter((path) => path.endsWith(".ts"))
    .sort()
    .map((path) => sourceOf(path, readFileSync(join(root, path), "utf8")));
}

/**
 * @param {string} path
 * @param {string} text
 * @returns {Source}
 */
function sourceOf(path, text) {
  const named = [...text.matchAll(/(?:\bfrom |\bimport\(|^import )"([^"]+)"/gm)].map(([, name = ""]) => name);
  const declared = text.matchAll(/^export (?:declare )?(?:abstract )?(?:interface|type|class|enum) (\w+)/gm);
  return {
    path,
    folder: folderOf(path),
    imports: named
      .filter((name) => !name.startsWith("node:"))
      .map((name) => (name.startsWith(".") ? posix.join(posix.dirname(path), name) : name)),
    types: [...declared].map(([, name = ""]) => name),
    lines: text.split("\n").length - 1,
    state: moduleState(text),
  };
}

/**
 * The folder of a file of src, without `src/`.
 *
 * @param {string} path
 */
export function folderOf(path) {
  return posix.dirname(path).replace(/^src\/?/, "");
}
