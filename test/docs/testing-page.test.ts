import { execFile } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { codeBlocks, readDocument, root } from "./markdown.ts";

const FOLDER = "test/docs/testing-page";
const blocks = codeBlocks(readDocument("docs/testing.md")).filter(({ language }) => /^(?:js|ts)$/.test(language));

describe("docs/testing.md", () => {
  test("the page shows every file of test/docs/testing-page as the tests run it", () => {
    const files = readdirSync(join(root, FOLDER)).map((file) => readDocument(`${FOLDER}/${file}`));
    expect(blocks.map(({ text }) => text).sort()).toEqual(files.sort());
  });

  test("the page has a test that runs under Node's own test runner", async () => {
    const { NODE_OPTIONS: _, NODE_TEST_CONTEXT: __, ...env } = process.env;
    const options = { cwd: root, env, timeout: 60_000 };
    const { stdout } = await promisify(execFile)(process.execPath, ["--test", `${FOLDER}/node-test.mjs`], options);
    expect(stdout).toMatch(/^# pass 1$|^ℹ pass 1$/m);
  });
});
