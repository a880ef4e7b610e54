import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { scripts } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { scripts: Record<string, string> };

/** A project that has .ci/nightly, and programs instead of those that it calls; npm only notes how it is called. */
let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "ext-proc-nightly-"));
  for (const path of [".ci/nightly", ".ci/tools"]) cpSync(join(root, path), join(folder, path));
  mkdirSync(join(folder, "bin"));
  program("go", "exit 0");
  program("python3", 'mkdir -p "$4/bin" && ln -sf /bin/true "$4/bin/python"');
});

afterEach(() => rmSync(folder, { recursive: true, force: true }));

// Needs bash, and GNU's timeout.
describe.runIf(process.platform === "linux")(".ci/nightly", () => {
  test(".ci/nightly counts each check, and calls only scripts that exist", () => {
    const { status, lastLine, called } = nightly("exit 0");
    expect(lastLine).toBe("10 passed, 0 failed");
    expect(status).toBe(0);
    const names = [...called.matchAll(/^run --silent (\S+)/gm)].map(([, name]) => name);
    expect(names).toHaveLength(11);
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(names));
  });

  test(".ci/nightly runs every check if some fail, and counts them in its last line", () => {
    const { status, lastLine } = nightly('[ "$3" != soak ]');
    expect(status).toBe(1);
    expect(lastLine).toBe("9 passed, 1 failed");
  });

  test(".ci/nightly counts an installation only if it fails", () => {
    program("go", "exit 1");
    const { lastLine } = nightly('[ "$1" != ci ]');
    expect(lastLine).toBe("10 passed, 3 failed");
  });

  test(".ci/nightly installs the programs without which tests fail in CI", () => {
    expect(nightly("exit 0").output).toMatch(/ok {4}Python tools .*ok {4}h2spec .*ok {4}grpcurl .*ok {4}Chromium /s);
  });
});

/** Puts a shell script instead of a program. */
function program(name: string, script: string): void {
  writeFileSync(join(folder, "bin", name), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
}

function nightly(npm: string): { status: number | null; output: string; lastLine: string | undefined; called: string } {
  const calls = join(folder, "calls");
  program("npm", `echo "$*" >> ${calls}\n${npm}`);
  const { PATH = "" } = process.env;
  const { status, stdout } = spawnSync(join(folder, ".ci/nightly"), {
    env: { PATH: [join(folder, "bin"), PATH].join(delimiter), XDG_CACHE_HOME: folder },
    encoding: "utf8",
  });
  const called = readFileSync(calls, "utf8");
  return { status, output: stdout, lastLine: stdout.trimEnd().split("\n").at(-1), called };
}
