// `node scripts/prose.mjs [FILE…]` looks for phrases that are not plain English in Markdown, comments, strings and test names,
// and prints each with what to write instead. Without files it checks the whole project, except the folders of `notYet` in
// prose.json. Exit code 0: none found; 1: some found.
import { readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EXTENSIONS } from "./prose/extract.mjs";
import { findPhrases } from "./prose/find-phrases.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** @type {{ ignored: string[], notYet: string[], quoted: string[] }} */
const { ignored, notYet, quoted } = JSON.parse(readFileSync(join(root, "prose.json"), "utf8"));
const left = new Set([...ignored, ...notYet]);

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (left.has(path) || left.has(entry.name)) return [];
    if (entry.isDirectory()) return filesIn(path);
    return EXTENSIONS.includes(extname(path)) ? [path] : [];
  });
}

const named = process.argv.slice(2).map((path) => relative(root, resolve(path)));
let count = 0;
for (const path of named.length > 0 ? named : filesIn("")) {
  for (const { line, column, phrase, advice } of findPhrases(path, readFileSync(join(root, path), "utf8"), quoted)) {
    count++;
    console.error(`${path}:${line}:${column}: "${phrase}": ${advice}`);
  }
}
if (count > 0) {
  console.error(`${count} phrases are not plain English`);
  process.exitCode = 1;
}
