import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, inject, test } from "vitest";

const envoyBinary = inject("envoyBinary") ?? "";
const main = new URL("../../dist/cli/main.js", import.meta.url).pathname;
const FREE_PORTS = ["--envoy-port", "0", "--port", "0", "--status-port", "0", "--admin-port", "0"];

interface Run {
  readonly child: ChildProcess;
  /** Standard output so far, line by line. */
  readonly out: readonly string[];
  readonly error: readonly string[];
  /** Resolves with the exit code, or rejects when a signal ended it. */
  readonly exit: Promise<number>;
  /** Resolves with the first line of the output that matches. */
  line(pattern: RegExp): Promise<string>;
}

const runs: Run[] = [];
const servers: Server[] = [];

afterEach(async () => {
  for (const { child, exit } of runs.splice(0)) {
    child.kill("SIGKILL");
    await exit.catch(() => undefined);
  }
  for (const server of servers.splice(0)) server.close();
});

function runDemo(args: readonly string[], env: NodeJS.ProcessEnv = {}): Run {
  const child = spawn(process.execPath, [main, "demo", ...args], {
    env: { ...process.env, ENVOY_BIN: envoyBinary, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const out: string[] = [];
  const error: string[] = [];
  const lines = createInterface({ input: child.stdout }).on("line", (line) => out.push(line));
  createInterface({ input: child.stderr }).on("line", (line) => error.push(line));
  const exit = once(child, "close").then(([code, signal]) => {
    if (code === null) throw new Error(`ended by ${signal}`);
    return Number(code);
  });
  const line = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const found = out.find((each) => pattern.test(each));
        if (found !== undefined) resolve(found);
      };
      lines.on("line", look);
      look();
      void exit.then(() => reject(new Error(`no line ${pattern} in:\n${out.join("\n")}\n${error.join("\n")}`)), reject);
    });
  const run = { child, out, error, exit, line };
  runs.push(run);
  return run;
}

async function occupiedPort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return (server.address() as { port: number }).port;
}

describe.skipIf(envoyBinary === "")("ext-proc demo", () => {
  test("demo --once shows the reference's headers in both directions and the same logic over Connect", async () => {
    const run = runDemo(["--once", ...FREE_PORTS]);
    expect([await run.exit, run.error.filter((line) => !line.includes("for demonstrations only"))]).toEqual([0, []]);
    const [headers = "", modifier = "", debug = ""] = run.out
      .join("\n")
      .split(/^\$ curl -i /m)
      .slice(1);
    expect(headers).toMatch(/^http:\/\/localhost:\d+\/headers\nHTTP\/1\.1 200 OK\n/);
    expect(headers).toMatch(/^x-ext-proc-header: hello-from-asm$/m);
    expect(headers).toMatch(/^ {4}"X-Ext-Proc-Header": "hello-to-asm",$/m);
    expect(modifier).toContain(`-H 'request-header-modifier: {"x-demo": "set by the client"}'\n`);
    expect(modifier).toMatch(/^ {4}"X-Demo": "set by the client",$/m);
    expect(modifier).not.toMatch(/^ {4}"Request-Header-Modifier"/m);
    expect(debug).toMatch(/^http:\/\/localhost:\d+\/extproc\.debug\.v1\.DebugService\/Process /);
    expect(debug).toContain(`"rawValue":"${Buffer.from("hello-to-asm").toString("base64")}"`);
  });

  test.for(["SIGINT", "SIGTERM"] as const)(
    "demo runs until %s, then ends all its programs and exits with 0",
    async (signal) => {
      const run = runDemo(FREE_PORTS);
      await run.line(/Press Ctrl-C to end the demo/);
      const url = /http:\/\/localhost:\d+$/.exec(await run.line(/^Envoy /))?.[0];
      const response = await fetch(`${url}/anything`, { method: "POST", body: "hello" });
      expect(await response.json()).toMatchObject({ data: "hello", method: "POST" });
      expect(response.headers.get("x-ext-proc-header")).toBe("hello-from-asm");
      run.child.kill(signal);
      expect(await run.exit).toBe(0);
      await expect(fetch(`${url}/headers`)).rejects.toThrow();
    },
  );

  test("demo ends with exit code 1 when a requested port is used, and names its flag", async () => {
    const port = await occupiedPort();
    const run = runDemo(["--once", ...FREE_PORTS, "--envoy-port", String(port)]);
    expect(await run.exit).toBe(1);
    expect(run.error).toEqual([`ext-proc: --envoy-port: port ${port} is in use by another process; 0 = any free port`]);
  });

  test("demo takes a free port, and says so, if the default port is used", async () => {
    // If another program of this machine uses port 10000, this test only has less to do.
    const occupant = createServer();
    servers.push(occupant);
    occupant.on("error", () => undefined).listen(10000, "127.0.0.1");
    await Promise.race([once(occupant, "listening"), once(occupant, "error")]);
    const run = runDemo(["--once", ...FREE_PORTS.slice(2)]);
    expect(await run.exit).toBe(0);
    expect(run.error[0]).toBe(
      "ext-proc: port 10000 is in use, so the demo uses another one; set one with --envoy-port",
    );
    expect(run.out[0]).toMatch(/^Envoy 1\.\d+\.\d+ .*: http:\/\/localhost:\d+$/);
    expect(run.out[0]).not.toContain(":10000");
  });
});

describe("arguments of ext-proc demo", () => {
  test.for([
    [["--port", "http"], /^ext-proc: --port: "http" is not a port; write a number from 0 to 65535$/],
    [["--envoy-port", "65536"], /^ext-proc: --envoy-port: "65536" is not a port/],
    [["--nope"], /^ext-proc: Unknown option '--nope'; see: ext-proc demo --help$/],
    [["hello"], /^ext-proc: Unexpected argument 'hello'; see: ext-proc demo --help$/],
  ] as const)("demo rejects %j with exit code 2 and one line", async ([args, line]) => {
    const run = runDemo(args);
    expect(await run.exit).toBe(2);
    expect(run.error).toEqual([expect.stringMatching(line)]);
  });

  test("demo rejects a missing ENVOY_BIN with exit code 1 and one line", async () => {
    const run = runDemo(["--once", ...FREE_PORTS], { ENVOY_BIN: "/nowhere/envoy" });
    expect(await run.exit).toBe(1);
    expect(run.error).toEqual([
      "ext-proc: ENVOY_BIN: /nowhere/envoy is not an executable file; set it to an Envoy binary, or unset it",
    ]);
  });

  test("demo --help exits with 0 and describes every flag", async () => {
    const run = runDemo(["--help"]);
    expect([await run.exit, run.error]).toEqual([0, []]);
    for (const flag of ["--once", "--envoy-port", "--port", "--status-port", "--admin-port", "--upstream-port"]) {
      expect(run.out.join("\n")).toContain(`  ${flag} `);
    }
  });
});
