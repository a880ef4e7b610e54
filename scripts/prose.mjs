// `node scripts/prose.mjs [FILE…]` checks Markdown, comments, strings and test names for misspelt words, and for phrases that are
// not plain English. It prints each with what to write instead. Without files it checks the whole project, except the folders of
// `notYet` in prose.json. Exit code 0: nothing found; 1: something found.
import { readdirSync, readFileSync } from "node:fs";
import { extname, join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { EXTENSIONS } from "./prose/extract.mjs";
import { findingsOf } from "./prose/findings.mjs";
import { loadSpelling } from "./prose/spelling.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
/** @type {{ ignored: string[], notYet: string[], quoted: string[] }} */
const { ignored, notYet, quoted } = JSON.parse(readFileSync(join(root, "prose.json"), "utf8"));
const skipped = new Set([...ignored, ...notYet]);

/**
 * @param {string} folder
 * @returns {string[]}
 */
function filesIn(folder) {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (skipped.has(path) || skipped.has(entry.name)) return [];
    if (entry.isDirectory()) return filesIn(path);
    return EXTENSIONS.includes(extname(path)) ? [path] : [];
  });
}

const isKnown = await loadSpelling(join(root, "cspell.json"));
const named = process.argv.slice(2).map((path) => relative(root, resolve(path)));
let count = 0;
for (const path of named.length > 0 ? named : filesIn("")) {
  for (const { line, column, text, advice } of findingsOf(path, readFileSync(join(root, path), "utf8"), {
    quoted,
    isKnown,
  })) {
    count++;
    console.error(`${path}:${line}:${column}: "${text}": ${advice}`);
  }
}
if (count > 0) {
  console.error(`${count} words or phrases are not plain English`);
  process.exitCode = 1;
}
