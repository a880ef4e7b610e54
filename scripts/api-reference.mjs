// `npm run docs:api` writes docs/api, the reference of what the package exports, from the doc comments. `-- --check`
// writes nothing and compares. Exit code 0: done, or current; 1: docs/api is not current, or a comment links to
// nothing; 2: the generator could not be installed.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const generator = fileURLToPath(new URL("./api-reference/", import.meta.url));
const committed = fileURLToPath(new URL("../docs/api/", import.meta.url));
const typedoc = join(generator, "node_modules/typedoc/bin/typedoc");

/**
 * @param {string} command
 * @param {readonly string[]} args
 */
function run(command, args) {
  return spawnSync(command, args, { cwd: generator, stdio: ["ignore", "inherit", "inherit"] }).status === 0;
}

/**
 * The pages in a folder, by name.
 *
 * @param {string} folder
 * @returns {Record<string, string>}
 */
function pagesOf(folder) {
  if (!existsSync(folder)) return {};
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "utf8")]));
}

/** @param {string} fresh */
function findStale(fresh) {
  const [before, after] = [pagesOf(committed), pagesOf(fresh)];
  return Object.keys({ ...before, ...after }).filter((name) => before[name] !== after[name]);
}

if (!existsSync(typedoc) && !run("npm", ["ci", "--no-audit", "--no-fund", "--loglevel=error"])) {
  process.stderr.write("docs:api: the generator in scripts/api-reference could not be installed\n");
  process.exitCode = 2;
} else if (process.argv.includes("--check")) {
  const fresh = mkdtempSync(join(tmpdir(), "ext-proc-api-"));
  try {
    const made = run(process.execPath, [typedoc, "--logLevel", "Warn", "--treatWarningsAsErrors", "--out", fresh]);
    const stale = made ? findStale(fresh) : [];
    for (const name of stale) process.stderr.write(`docs/api/${name} is not current; run npm run docs:api\n`);
    process.exitCode = made && stale.length === 0 ? 0 : 1;
  } finally {
    rmSync(fresh, { recursive: true });
  }
} else {
  process.exitCode = run(process.execPath, [typedoc, "--logLevel", "Warn", "--treatWarningsAsErrors"]) ? 0 : 1;
}
