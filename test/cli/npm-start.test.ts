import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import packageJson from "../../package.json" with { type: "json" };
import { openProcess } from "../network/grpc-js-client.ts";
import { requestHeaders, responseHeaders } from "../network/messages.ts";

interface NpmStart {
  readonly npm: ChildProcess;
  /** The process group of npm and everything that npm started. */
  readonly group: number;
  logged(text: string): Promise<Readonly<Record<string, unknown>>>;
  readonly ended: Promise<readonly unknown[]>;
}

/** `npm start` in its own process group, as a shell or a supervisor starts it. */
function npmStart(): NpmStart {
  const flags = ["--listen", "127.0.0.1:0", "--status-listen", "off", "--admin-listen", "off", "--drain-delay-ms", "0"];
  const npm = spawn("npm", ["start", "--", ...flags, "--drain-grace-ms", "3600000"], {
    cwd: new URL("../..", import.meta.url),
    detached: true,
    stdio: ["ignore", "pipe", "ignore"],
  });
  const group = npm.pid ?? 0;
  onTestFinished(() => killGroup(group));
  const lines: string[] = [];
  const reader = createInterface({ input: npm.stdout });
  reader.on("line", (line) => lines.push(line));
  const logged = async (text: string): Promise<Readonly<Record<string, unknown>>> => {
    const found = lines.find((line) => line.startsWith("{") && line.includes(text));
    if (found !== undefined) return JSON.parse(found);
    await once(reader, "line");
    return logged(text);
  };
  return { npm, group, logged, ended: once(npm, "exit") };
}

function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // All processes of the group have ended, as expected.
  }
}

/** Whether a process of the group lives. None lives after npm ended, unless npm left an orphan. */
function groupLives(group: number): boolean {
  try {
    return process.kill(-group, 0);
  } catch {
    return false;
  }
}

test.each<[string, (start: NpmStart) => void, string]>([
  ["SIGTERM to npm", ({ npm }) => npm.kill("SIGTERM"), "SIGTERM"],
  ["SIGINT to npm", ({ npm }) => npm.kill("SIGINT"), "SIGINT"],
  // The server gets the signal from the terminal, and again from npm.
  ["Ctrl-C, which goes to every process", ({ group }) => process.kill(-group, "SIGINT"), "SIGINT"],
])(
  "npm start drains on %s, and leaves no process behind",
  async (_name, kill, reason) => {
    const start = npmStart();
    const { msg, address } = await start.logged("Starting gRPC server");
    const port = Number(String(address).split(":").at(-1));
    expect(msg).toBe(`Starting gRPC server on port :${port}`);
    const call = openProcess(port);
    call.send(requestHeaders());
    await call.next();
    kill(start);
    expect(await start.logged("Stopping")).toMatchObject({ reason });
    call.send(responseHeaders());
    expect((await call.next())?.response.case).toBe("responseHeaders");
    call.end();
    expect((await call.status).code).toBe(0);
    expect(await start.logged("Stopped")).toMatchObject({ hurried: false });
    await start.ended;
    expect(groupLives(start.group)).toBe(false);
  },
  60_000,
);

test.each(["start", "demo", "envoy:install"] as const)(
  "npm run %s replaces its shell, so the program gets signals",
  (name) => {
    expect(packageJson.scripts[name]).toMatch(/^exec node /);
  },
);
