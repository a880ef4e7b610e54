import { execFile } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, describe, expect, test } from "vitest";
import { findingsOf } from "../../scripts/prose/findings.mjs";
import { RULES } from "../../scripts/prose/rules.mjs";
import { readDocument, root } from "../docs/markdown.ts";

const folder = mkdtempSync(join(tmpdir(), "ext-proc-prose-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** The linter's exit code and report for files with these texts. */
async function lint(
  texts: Readonly<Record<string, string>>,
): Promise<{ readonly code: number; readonly report: string }> {
  const paths = Object.entries(texts).map(([name, text]) => {
    writeFileSync(join(folder, name), text);
    return join(folder, name);
  });
  try {
    await promisify(execFile)(process.execPath, ["scripts/prose.mjs", ...paths], { cwd: root });
    return { code: 0, report: "" };
  } catch (error) {
    const { code, stderr } = error as { code: number; stderr: string };
    return { code, report: stderr };
  }
}

/** What the linter finds in a text, if every word is known. */
function found(path: string, text: string, quoted: readonly string[] = []): string[] {
  return findingsOf(path, text, { quoted, isKnown: () => true }).map((finding) => finding.text);
}

describe("the prose linter", () => {
  test("fails for a copy of a page with a phrase that is not plain English and a misspelt word, and accepts the page", async () => {
    const page = readDocument("docs/failure.md");
    const { code, report } = await lint({ "page.md": page, "broken.md": `${page}\nNobody recieves the answer.\n` });
    expect(code).toBe(1);
    expect(report).toMatch(/broken\.md:\d+:1: "Nobody": name who it is/);
    expect(report).toMatch(/broken\.md:\d+:8: "recieves": unknown word/);
    expect(report).not.toContain("page.md");
  });

  test.each(RULES)("rejects: $rejected", ({ pattern, rejected, accepted }) => {
    expect(rejected).toMatch(pattern);
    expect(accepted).not.toMatch(pattern);
  });

  test("reads comments, messages and names of tests, over the ends of lines", () => {
    const code = [
      "/**",
      " * A bare object is",
      " * no effect.",
      " */",
      'const text = "nobody answers";',
      "const more = `he gave up`;",
      'test("is a timer of its own", () => undefined);',
      "// The time-out.",
    ].join("\n");
    expect(found("a.ts", code)).toEqual(["is no", "nobody", "he", "of its own", "time-out"]);
  });

  test("reads the names of scenarios, and comments of YAML and protos", () => {
    expect(found("a.yaml", '# Nobody waits.\nhost: nobody\n  - name: "a late time-out"\n')).toEqual([
      "Nobody",
      "time-out",
    ]);
    expect(found("a.proto", "// Nobody waits.\nmessage Nobody {}\n")).toEqual(["Nobody"]);
  });

  test("does not read code, links and single words", () => {
    expect(found("a.md", "`nobody` [is](nobody.md)\n\n```ts\nnobody();\n```\n")).toEqual([]);
    expect(found("a.ts", 'const nobody = "nobody"; // `nobody`\n')).toEqual([]);
  });

  test("accepts quoted texts of Envoy", () => {
    const quote = "there is him, upstream connect error";
    expect(found("a.md", `Envoy sends "${quote}".`)).toEqual(["him"]);
    expect(found("a.md", `Envoy sends "${quote}".`, [quote])).toEqual([]);
  });
});
