// `node scripts/count-tests.mjs REPORT EXIT_CODE`, at the root of the project, prints "PASSED FAILED" for a run of
// vitest: its JSON report, and the code it ended with. Vitest's own totals leave out files that do not load, suites
// whose hooks fail, errors outside of tests, and files it never saw; here they count as failed, which standard error
// explains.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** @typedef {{ name: string, status: string, assertionResults: { status: string }[] }} FileResult */

let passed = 0;
let failed = 0;

/**
 * @param {string} reason
 * @param {number} [tests]
 */
function fail(reason, tests = 1) {
  failed += tests;
  process.stderr.write(`counted as failed: ${reason}\n`);
}

/** @param {FileResult} result */
function countFile({ name, status, assertionResults }) {
  const having = (/** @type {string} */ wanted) => assertionResults.filter((test) => test.status === wanted).length;
  passed += having("passed");
  failed += having("failed");
  if (status !== "failed") return;
  // The report does not tell a test that skips itself from one whose suite failed before it: neither ran.
  const neverRan = having("skipped") + having("pending");
  if (neverRan > 0) fail(`${name}: tests that did not run: ${neverRan}`, neverRan);
  else if (having("failed") === 0) fail(`${name}: as a whole`);
}

/** What vitest.config.ts takes for tests. */
function testFiles() {
  return ["test", "examples"]
    .filter((folder) => existsSync(folder))
    .flatMap((folder) => readdirSync(folder, { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)))
    .filter((path) => /\.test\.ts$|^test\/.*\.types\.ts$/.test(path) && !path.includes("node_modules"))
    .map((path) => resolve(path));
}

const [reportPath = "", exitCode = ""] = process.argv.slice(2);
if (existsSync(reportPath)) {
  /** @type {{ testResults: FileResult[] }} */
  const { testResults } = JSON.parse(readFileSync(reportPath, "utf8"));
  for (const result of testResults) countFile(result);
  const reported = new Set(testResults.map(({ name }) => resolve(name)));
  for (const file of testFiles()) if (!reported.has(file)) fail(`${file}: is not in the report`);
  if (exitCode !== "0" && failed === 0) fail(`vitest ended with exit code ${exitCode}, outside of its tests`);
} else {
  fail(`there is no report: the build failed, or vitest did not start (exit code ${exitCode})`);
}
process.stdout.write(`${passed} ${failed}\n`);
