import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { runBinary } from "../server/spawn-binary.ts";

/** Flags with which a server can start next to other servers. */
const FREE = ["--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off"];

/** Runs `serve` that must not start, and gives back its exit code and its only line. */
async function refusal(args: readonly string[], env?: Record<string, string>): Promise<[number | null, string]> {
  const { code, stdout, stderr } = await runBinary(["serve", ...args], { env });
  expect(stdout).toBe("");
  expect(stderr).toMatch(/^ext-proc: [^\n]+\n$/);
  expect(stderr).not.toMatch(/^\s+at |node:internal/m);
  return [code, stderr.slice("ext-proc: ".length, -1)];
}

function fileForTest(name: string, text: string): string {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("ext-proc serve with wrong arguments", () => {
  test.each<[readonly string[], RegExp]>([
    [["--nothing"], /^Unknown option '--nothing'; see: ext-proc serve --help$/],
    [["--listne", ":1"], /^Unknown option '--listne'; see: /],
    [["-x"], /^Unknown option '-x'; see: /],
    [["--listen"], /^Option '--listen <value>' argument missing; see: /],
    [["--listen", "--debug"], /^Option '--listen' argument is ambiguous; see: /],
    [["--help=yes"], /^Option '-h, --help' does not take an argument; see: /],
    [["--listen", "9002"], /^--listen: "9002" is not an address; write ":9002", /],
    [["--listen", "off"], /^--listen: the main listener cannot be "off"/],
    [
      ["--listen", `unix:/tmp/${"é".repeat(60)}`],
      /^--listen: "unix:.*" has a path of 125 bytes; the path of a socket can have at most \d+ bytes; /,
    ],
    [["--status-listen", ":99999"], /^--status-listen: ":99999" is not an address; /],
    [["--admin-listen="], /^--admin-listen: "" is not an address; /],
    [["--port", "http"], /^--port: "http" is not a port; write a number from 0 to 65535$/],
    [["--port", "65536"], /^--port: "65536" is not a port; /],
    [["--port", "1:1"], /^--port: "1:1" is not a port; /],
    [["--port", "1", "--listen", ":1"], /^--port and --listen set the same address; use only one of them$/],
    [["--debug", "maybe"], /^--debug: expected one of on, admin, off, got "maybe"$/],
    [["--max-message-bytes", "4M"], /^--max-message-bytes: expected a whole number from 1024 to 1073741824, got "4M"$/],
    [
      ["--max-message-bytes", "1023"],
      /^--max-message-bytes: expected a whole number from 1024 to 1073741824, got "1023"/,
    ],
    [
      ["--drain-grace-ms", "-1"],
      /^(?:--drain-grace-ms: expected a whole number from 0 to 3600000, got "-1"|Option '--drain-grace-ms' argument is ambig)/,
    ],
    [["--drain-grace-ms", "1.5"], /^--drain-grace-ms: expected a whole number from 0 to 3600000, got "1.5"$/],
    [["--log-level", "loud"], /^--log-level: expected one of debug, info, warn, error, silent, got "loud"$/],
    [["--admin-token-file", ""], /^--admin-token-file: expected the path of a file, got ""$/],
    [
      ["--admin-listen", "0.0.0.0:0"],
      /^--admin-listen: 0\.0\.0\.0:0 is reachable from other machines, so it needs --admin-token-file; or listen on /,
    ],
    [
      ["helo"],
      /^helo: no such processor; built-in processors are hello and header-modifier; for a file write its path/,
    ],
    [["constructor"], /^constructor: no such processor; /],
    [["./no-such-file.js"], /^\.\/no-such-file\.js: no such file; built-in processors are hello and header-modifier$/],
    [["hello", "hello"], /two processors are named "hello"; rename one of them$/],
  ])("serve rejects the arguments %j with exit code 2 and one line", async (args, line) => {
    const free = args.includes("--listen") || args.includes("--port") ? [] : FREE.slice(0, 2);
    const [code, said] = await refusal([...free, ...args]);
    expect(said).toMatch(line);
    expect(code).toBe(2);
  });

  test("serve prints one line for each wrong setting", async () => {
    const { code, stdout, stderr } = await runBinary(["serve", "--listen", "x", "--debug", "y"], {
      env: { EXT_PROC_LOG_LEVEL: "z" },
    });
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr.split("\n")).toEqual([
      expect.stringMatching(/^ext-proc: --listen: "x" is not an address/),
      expect.stringMatching(/^ext-proc: --debug: expected one of on, admin, off, got "y"/),
      expect.stringMatching(/^ext-proc: EXT_PROC_LOG_LEVEL: expected one of debug, info, warn, error, silent, got "z"/),
      "",
    ]);
  });
});

describe("ext-proc serve that cannot start", () => {
  test.each(["--listen", "--status-listen", "--admin-listen"])(
    "serve names the flag of a port that is used: %s",
    async (flag) => {
      const busy = createServer().listen(0, "127.0.0.1");
      onTestFinished(() => {
        busy.close();
      });
      await once(busy, "listening");
      const address = `127.0.0.1:${(busy.address() as AddressInfo).port}`;
      const line = `${flag}: ${address} is in use by another process; stop that process, or set another address`;
      expect(await refusal([...FREE, flag, address])).toEqual([1, line]);
    },
  );

  test.each([
    ["a short token", "0123456789abcde\n", /must contain one token of at least 16 characters without white space$/],
    ["two tokens", "0123456789abcdef 0123456789abcdef", /must contain one token/],
    ["nothing", "", /must contain one token/],
  ])("serve rejects a token file with %s", async (_name, text, problem) => {
    const path = fileForTest("token", text);
    const [code, line] = await refusal([...FREE, "--admin-token-file", path]);
    expect(line).toMatch(problem);
    expect(line).toContain(`--admin-token-file: ${path} `);
    expect(line).not.toContain("0123456789");
    expect(code).toBe(1);
  });

  test("serve rejects a token file that does not exist", async () => {
    expect(await refusal([...FREE, "--admin-token-file", "/no/such/file"])).toEqual([
      1,
      "--admin-token-file: /no/such/file cannot be read (ENOENT)",
    ]);
  });
});
