import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, expect, test } from "vitest";

const script = fileURLToPath(new URL("../../scripts/count-tests.mjs", import.meta.url));

/** A project with two files of tests. */
let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "ext-proc-count-")));
  for (const path of ["test/a/one.test.ts", "examples/two.test.ts"]) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), "");
  }
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

test("count-tests counts the tests that passed and that failed", () => {
  expect(count([file("test/a/one.test.ts", "failed", ["passed", "failed"]), passing()], 1)).toBe("2 1\n");
});

test("count-tests does not count a test that skips itself", () => {
  expect(count([file("test/a/one.test.ts", "passed", ["passed", "skipped", "todo"]), passing()])).toBe("2 0\n");
});

test("count-tests counts a file that does not load as one failure", () => {
  expect(count([file("test/a/one.test.ts", "failed", []), passing()], 1)).toBe("1 1\n");
});

test("count-tests counts the tests of a suite that never ran as failures", () => {
  expect(count([file("test/a/one.test.ts", "failed", ["skipped", "skipped"]), passing()], 1)).toBe("1 2\n");
});

test("count-tests counts a file whose last hook fails as one failure", () => {
  expect(count([file("test/a/one.test.ts", "failed", ["passed"]), passing()], 1)).toBe("2 1\n");
});

test("count-tests counts a file that vitest never saw as one failure", () => {
  expect(count([passing()])).toBe("1 1\n");
});

test("count-tests counts an error outside of every test as one failure", () => {
  expect(count([file("test/a/one.test.ts", "passed", ["passed"]), passing()], 1)).toBe("2 1\n");
});

test("count-tests counts a run without a report as one failure", () => {
  expect(count(undefined, 1)).toBe("0 1\n");
});

function passing(): object {
  return file("examples/two.test.ts", "passed", ["passed"]);
}

function file(path: string, status: string, tests: readonly string[]): object {
  return { name: join(folder, path), status, assertionResults: tests.map((each) => ({ status: each })) };
}

function count(testResults: readonly object[] | undefined, exitCode = 0): string {
  const report = join(folder, "report.json");
  if (testResults !== undefined) writeFileSync(report, JSON.stringify({ testResults }));
  return spawnSync(process.execPath, [script, report, String(exitCode)], { cwd: folder, encoding: "utf8" }).stdout;
}
