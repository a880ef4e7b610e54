// Checks which files `npm pack` would ship: all that users need, and nothing else. dist/ has to be built. Prints one
// line for each file that is missing or too much; exit code 1 if there is any.
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

/**
 * The files below a folder of the project, by their path in it.
 *
 * @param {string} folder
 * @returns {string[]}
 */
function filesBelow(folder) {
  const entries = readdirSync(join(root, folder), { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length).replaceAll("\\", "/"));
}

/** @returns {Set<string>} */
function packedFiles() {
  const json = execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
    shell: process.platform === "win32",
  });
  /** @type {[{ files: { path: string }[] }]} */
  const [{ files }] = JSON.parse(json);
  return new Set(files.map(({ path }) => path));
}

const expected = new Set([
  ...["package.json", "README.md", "LICENSE", "CHANGELOG.md"],
  ...filesBelow("gen"),
  ...filesBelow("deploy"),
  ...filesBelow("src").flatMap((path) => {
    const compiled = path.replace(/^src\/(.*)\.ts$/, "dist/$1");
    return [`${compiled}.js`, `${compiled}.js.map`, `${compiled}.d.ts`];
  }),
]);
const packed = packedFiles();
const problems = [
  ...[...expected].filter((path) => !packed.has(path)).map((path) => `${path}: is missing in the package`),
  ...[...packed].filter((path) => !expected.has(path)).map((path) => `${path}: does not belong into the package`),
  // A map that names a source which is not shipped leads debuggers nowhere.
  ...[...packed]
    .filter((path) => path.endsWith(".js.map"))
    .filter((path) => !JSON.parse(readFileSync(join(root, path), "utf8")).sourcesContent)
    .map((path) => `${path}: holds no source; tsconfig.json needs inlineSources`),
];
for (const problem of problems) process.stdout.write(`${problem}\n`);
process.exitCode = problems.length === 0 ? 0 : 1;
