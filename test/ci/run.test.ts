import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A project that has .ci/run, and programs instead of those that it calls. */
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ext-proc-ci-"));
  for (const path of [".ci/run", ".ci/tools", "scripts/count-tests.mjs"]) cpSync(join(root, path), join(folder, path));
  writeFileSync(join(folder, "scripts/check-package.mjs"), "");
  mkdirSync(join(folder, "bin"));
  for (const name of ["npx", "git", "go"]) program(name, "exit 0");
  program("python3", 'mkdir -p "$4/bin" && ln -sf /bin/true "$4/bin/python"');
  program("npm", WORKING_NPM);
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

// Needs bash, and GNU's timeout.
describe.runIf(process.platform === "linux")(".ci/run", () => {
  test(".ci/run runs npm ci and npm test, and counts vitest's tests and each check after them", () => {
    const { status, lastLine, called } = ciRun();
    expect(lastLine).toBe("13 passed, 0 failed");
    expect(status).toBe(0);
    expect(called).toContain("npm ci --no-audit --no-fund CI=true\n");
    expect(called).toMatch(/^npm test -- --reporter=default .*CI=true$/m);
  });

  test(".ci/run runs every check if npm ci fails, and counts them in its last line", () => {
    program("npm", "exit 1");
    program("npx", "exit 127");
    rmSync(join(folder, "scripts/check-package.mjs"));
    const { status, lastLine, output } = ciRun();
    expect(status).toBe(1);
    expect(lastLine).toMatch(/^0 passed, \d+ failed$/);
    expect(output).toMatch(/^FAIL {2}npm ci /m);
    expect(output).toMatch(/^FAIL {2}package types /m);
  });

  test(".ci/run shows what a check printed only if the check fails", () => {
    program("npx", 'echo "said by $3"; [ "$2" != publint ]');
    const { status, lastLine, output } = ciRun();
    expect(status).toBe(1);
    expect(lastLine).toBe("12 passed, 1 failed");
    expect(output).toContain("      said by --strict\n");
    expect(output).not.toContain("said by lint");
  });

  test(".ci/run fails if generating changes gen/", () => {
    program("git", 'echo " M gen/x_pb.js"');
    const { status, lastLine, output } = ciRun();
    expect(status).toBe(1);
    expect(lastLine).toBe("12 passed, 1 failed");
    expect(output).toContain("gen/x_pb.js");
  });
});

/** An npm that works: `test` reports three passed tests, `pack` makes a tarball. */
const WORKING_NPM = `
case "$1" in
  test) echo '{"testResults":[{"name":"x","status":"passed","assertionResults":[{"status":"passed"},{"status":"passed"},{"status":"passed"}]}]}' > "\${5#*=}" ;;
  pack) touch "$5/ext-proc-0.0.0.tgz" ;;
esac`;

/** Puts a shell script instead of a program; it notes how it was called. */
function program(name: string, script: string): void {
  const text = `#!/bin/sh\necho "${name} $* CI=$CI" >> "${folder}/called"\n${script}\n`;
  writeFileSync(join(folder, "bin", name), text, { mode: 0o755 });
}

function ciRun(): { status: number | null; output: string; lastLine: string | undefined; called: string } {
  const { CI: _, ...machine } = process.env;
  const env = { ...machine, PATH: [join(folder, "bin"), machine.PATH].join(delimiter), XDG_CACHE_HOME: folder };
  const { status, stdout } = spawnSync(join(folder, ".ci/run"), { cwd: tmpdir(), env, encoding: "utf8" });
  const called = readFileSync(join(folder, "called"), "utf8");
  return { status, output: stdout, lastLine: stdout.trimEnd().split("\n").at(-1), called };
}
