import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { loadProcessor } from "../../../src/cli/start/load-processor.ts";
import { CliError } from "../../../src/cli/terminal/usage-error.ts";
import { createLogger } from "../../../src/server/log/log.ts";
import { fixture } from "../../fixtures/fixture.ts";
import { processAll } from "../../network/grpc-js-client.ts";
import { headersSet, requestHeaders } from "../../network/messages.ts";
import { headersOf } from "../../protocol/messages.ts";
import { runBinary, spawnBinary } from "../../server/spawn-binary.ts";
import { recordSession } from "../../session/recorded-session.ts";

const MAIN_ONLY = ["--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off"];
const silent = createLogger("silent");
const major = Number(process.versions.node.split(".")[0]);

/** A folder with these files, which is removed when the test is over. */
function folderWith(files: Readonly<Record<string, string>>): string {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  return folder;
}

/** Why a module does not load. The program itself loads it, since a test runner loads modules differently. */
async function refusal(folder: string, ...args: readonly string[]): Promise<[number | null, string]> {
  const { code, stdout, stderr } = await runBinary(["serve", ...MAIN_ONLY, ...args], { cwd: folder });
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^ext-proc: [^\n]+\n$/);
  return [code, stderr.slice("ext-proc: ".length, -1)];
}

const PROPERTIES =
  "name, state, config, timeoutMs, onFault, readsRequest, setup, done, close, requestBody, responseBody, grpc, requestHeaders, requestTrailers, responseHeaders, responseTrailers";

describe("loadProcessor", () => {
  test("loadProcessor loads hello if no processor is named", async () => {
    expect((await loadProcessor([], silent)).name).toBe("hello");
  });

  test("loadProcessor composes built-in processors in the given order", async () => {
    expect((await loadProcessor(["header-modifier", "hello"], silent)).name).toBe("header-modifier+hello");
  });

  test.each(["helo", "constructor", "toString", "", "hello "])(
    "loadProcessor rejects the unknown processor %j",
    async (name) => {
      const error = await loadProcessor([name], silent).catch((cause: unknown) => cause);
      expect(error).toBeInstanceOf(CliError);
      expect(error).toMatchObject({
        exitCode: 2,
        message: expect.stringContaining("no such processor; built-in processors are"),
      });
    },
  );

  test("header-modifier logs at most ten lines a second, however many bad requests come", async () => {
    const lines: object[] = [];
    const warn = (fields: object) => void lines.push(fields);
    const modifier = await loadProcessor(["header-modifier"], { info: warn, warn, error: warn });
    expect(lines).toEqual([{ processor: "header-modifier" }]);
    const startMs = Date.now();
    while (Date.now() - startMs < 100) {
      const recorded = recordSession(modifier);
      recorded.receive(headersOf("requestHeaders", [["request-header-modifier", "no JSON"]]));
    }
    // 100 ms are in at most two different seconds.
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.length).toBeLessThanOrEqual(21);
  });

  test("loadProcessor says that a file does not exist", async () => {
    await expect(loadProcessor(["./missing.js"], silent)).rejects.toMatchObject({
      exitCode: 2,
      message: "./missing.js: no such file; built-in processors are hello and header-modifier",
    });
  });
});

describe("ext-proc serve FILE", () => {
  test("serve accepts a file of the working directory without ./", async () => {
    const folder = folderWith({ "my.js": "export { default } from './other.mjs'" });
    const [code, line] = await refusal(folder, "my.js");
    expect(line).toMatch(/^my\.js: Error: Cannot find module '.*other\.mjs' imported from .*my\.js$/);
    expect(code).toBe(1);
  });

  test.each<[string, string, RegExp]>([
    [
      "throws",
      "throw new Error('no\\n    at home (x.js:1:1)')",
      /^\.\/a\.mjs: cannot be loaded: Error: no at home \(x\.js:1:1\)$/,
    ],
    ["throws nothing", "throw undefined", /^\.\/a\.mjs: cannot be loaded: it threw undefined$/],
    ["throws what cannot be told", "throw Object.create(null)", /^\.\/a\.mjs: cannot be loaded: it threw an object$/],
    [
      "waits for what never comes",
      "await new Promise(() => {})",
      /^\.\/a\.mjs: cannot be loaded: it awaits a promise that never settles$/,
    ],
    [
      "cannot reach what it fetches",
      "await fetch('http://127.0.0.1:1/', { signal: AbortSignal.timeout(5_000) }).catch((error) => { throw new Error('no keys', { cause: error.cause }) })",
      /^\.\/a\.mjs: cannot be loaded: Error: no keys: .*(?:bad port|ECONNREFUSED)/,
    ],
    ["rejects", "await Promise.reject(new TypeError('later'))", /^\.\/a\.mjs: cannot be loaded: TypeError: later$/],
    [
      "is not JavaScript",
      "export default {\n  name: ;\n}",
      /^\.\/a\.mjs: cannot be loaded: SyntaxError: Unexpected token ';'; to see where: node --check \.\/a\.mjs$/,
    ],
    [
      "imports a package that is not installed",
      "import 'no-such-package'",
      /Cannot find package 'no-such-package' imported from .*; to install it: cd \/.+ && npm install no-such-package$/,
    ],
    [
      "has no default export",
      "export const processor = 1",
      /^\.\/a\.mjs: has no default export; write: export default defineProcessor/,
    ],
    [
      "exports no processor",
      "export default { name: 'x' }",
      /^\.\/a\.mjs: has a default export that is not a processor; write/,
    ],
    ["exports null", "export default null", /^\.\/a\.mjs: has a default export that is not a processor; write/],
  ])("serve ends with exit code 1 and one line if the file %s", async (_name, text, line) => {
    const [code, said] = await refusal(folderWith({ "a.mjs": text }), "./a.mjs");
    expect(said).toMatch(line);
    expect(code).toBe(1);
  });

  test("serve ends with one line for a mistake in a definition, and the line names the property", async () => {
    expect(await refusal(".", fixture("misdefined.js"))).toEqual([
      1,
      `${fixture("misdefined.js")}: cannot be loaded: TypeError: misdefined.requestHeeders: no such property; a processor has ${PROPERTIES}`,
    ]);
  });

  test("serve ends with one line for a folder, and for a file of another kind", async () => {
    const folder = folderWith({ "notes.txt": "x" });
    expect(await refusal(folder, "./")).toEqual([
      1,
      expect.stringMatching(/^\.\/: is a folder; give the path of a file$/),
    ]);
    const [code, line] = await refusal(folder, "./notes.txt");
    expect(line).toMatch(/^\.\/notes\.txt: cannot be loaded: TypeError: Unknown file extension "\.txt"/);
    expect(code).toBe(1);
  });

  test("serve ends with one line if two processors have the same name", async () => {
    const [code, line] = await refusal(".", fixture("greeter.js"), fixture("greeter.js"));
    expect([code, line]).toEqual([2, expect.stringMatching(/^two processors are named "greeter"/)]);
  });

  test.skipIf(major >= 22)(
    "the message for TypeScript on a Node that does not run it ends with a command that does",
    async () => {
      const folder = folderWith({ "my typed.ts": readFileSync(fixture("typed.ts"), "utf8") });
      const [code, line] = await refusal(folder, "./my typed.ts");
      expect(code).toBe(1);
      const [, install, command = ""] =
        /^\.\/my typed\.ts: Node [\d.]+ does not run TypeScript; use Node 22\.18 or later, or: (.*) && (node --import tsx .*)$/.exec(
          line,
        ) ?? [];
      expect(install).toBe("npm install --no-save tsx");
      // This test does not run npm install: the folder gets a link to the installed copy.
      mkdirSync(join(folder, "node_modules"));
      symlinkSync(
        fileURLToPath(new URL("../../../node_modules/tsx", import.meta.url)),
        join(folder, "node_modules/tsx"),
      );
      const child = spawn("/bin/sh", ["-c", `exec ${command}`], { cwd: folder, stdio: ["ignore", "pipe", "inherit"] });
      onTestFinished(() => {
        child.kill("SIGKILL");
      });
      const [first = ""] = await once(child.stdout.setEncoding("utf8"), "data");
      expect(JSON.parse(first.split("\n")[0])).toMatchObject({ processor: "typed" });
    },
  );

  test.each(["typed.ts"])("serve runs TypeScript under node --import tsx: %s", async (name) => {
    const nodeArgs = ["--import", import.meta.resolve("tsx")];
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture(name)], { nodeArgs });
    const { answers } = await processAll(await binary.port(), [requestHeaders()]);
    expect(answers.map(headersSet)).toEqual([{ "x-typed": "yes" }]);
  });

  test("serve runs a CommonJS module", async () => {
    const binary = spawnBinary(["serve", ...MAIN_ONLY, fixture("commonjs.cjs")]);
    expect((await binary.logged("Starting gRPC server")).processor).toBe("commonjs");
  });
});
