// The names of the tests and of the scenarios that exist, as their files have them.
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";

/**
 * A test as it is written. `path` is in the project, `file` is its last part. A placeholder of the name (`${…}`, `%s`,
 * `%d`) can stand for any text: it is `…` in `name`.
 *
 * @typedef {{ readonly path: string, readonly file: string, readonly name: string }} TestName
 */

const root = fileURLToPath(new URL("../..", import.meta.url));

/** @type {Map<string, readonly TestName[]>} */
const known = new Map();

/**
 * The names of the tests of a folder and of all folders in it.
 *
 * @param {string} folder
 * @returns {readonly TestName[]}
 */
export function testNames(folder) {
  const names = known.get(folder) ?? readTestNames(folder);
  known.set(folder, names);
  return names;
}

/**
 * The names of the scenarios in test/scenarios.
 *
 * @returns {TestName[]}
 */
export function scenarioNames() {
  const folder = "test/scenarios";
  const files = readdirSync(join(root, folder)).filter((file) => file.endsWith(".yaml"));
  return files.sort().flatMap((file) => {
    const path = `${folder}/${file}`;
    /** @type {{ scenarios: { name: string }[] }} */
    const { scenarios } = parse(readFileSync(join(root, path), "utf8"), { merge: true, maxAliasCount: -1 });
    return scenarios.map(({ name }) => ({ path, file, name }));
  });
}

/**
 * Whether a citation, in which `…` stands for any text, cites a name.
 *
 * @param {string} citedName
 * @param {string} name
 */
export function isNamed(citedName, name) {
  const pattern = citedName.split("…").map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  return new RegExp(`^${pattern.join(".*")}$`).test(name);
}

/**
 * @param {string} folder
 * @returns {TestName[]}
 */
function readTestNames(folder) {
  const files = readdirSync(join(root, folder), { recursive: true, encoding: "utf8" });
  return files
    .filter((file) => file.endsWith(".test.ts"))
    .sort()
    .flatMap((file) => {
      const path = `${folder}/${file}`;
      const names = readFileSync(join(root, path), "utf8").matchAll(
        /(?:^\s*(?:(?:test|row)[^"`]*\(\s*)?|\)\(\s*)(["`])((?:(?!\1).)*)\1,/gm,
      );
      return [...names].map(([, , name = ""]) => ({
        path,
        file: basename(file),
        name: name.replaceAll(/\$\{[^}]*\}|%[sd]/g, "…"),
      }));
    });
}
