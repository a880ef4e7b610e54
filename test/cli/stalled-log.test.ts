import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, constants, existsSync, openSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { request } from "node:http";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test, vi } from "vitest";
import { fixture } from "../fixtures/fixture.ts";
import { requestHeaders } from "../network/messages.ts";
import { openRawCall } from "../network/raw-grpc.ts";

const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

/** How standard output reaches a reader that never reads. */
interface UnreadOutput {
  readonly name: string;
  readonly kind: "socket" | "pipe";
  readonly env?: Readonly<Record<string, string>>;
}

const UNREAD: readonly UnreadOutput[] = [
  { name: "a socket", kind: "socket" },
  { name: "a pipe", kind: "pipe" },
  { name: "a socket that a child process made blocking", kind: "socket", env: { BLOCKING_CHILD: "1" } },
  { name: "a pipe that a child process made blocking", kind: "pipe", env: { BLOCKING_CHILD: "1" } },
];

test.each(UNREAD)(
  "a server whose log is not read still answers, and ends on SIGTERM: $name",
  async ({ kind, env = {} }) => {
    const folder = await temporaryFolder();
    const [main, status] = [join(folder, "main.sock"), join(folder, "status.sock")];
    const child = spawn(
      process.execPath,
      [
        ...[MAIN, "serve", fixture("stdout-filling.js"), "--admin-listen", "off", "--drain-delay-ms", "0"],
        ...["--listen", `unix:${main}`, "--status-listen", `unix:${status}`],
      ],
      {
        env: { PATH: process.env.PATH ?? "", ...env },
        stdio: ["ignore", kind === "pipe" ? unreadPipe(folder) : "pipe", 2],
      },
    );
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    // The main listener opens last.
    await vi.waitFor(() => expect(existsSync(main)).toBe(true), { timeout: 20_000 });
    expect(await page(status, "/healthz")).toBe("ok\n");

    await failTransactions(main, 20);
    expect(await page(status, "/metrics")).toMatch(/^ext_proc_log_buffer_bytes [1-9]\d*$/m);

    child.kill("SIGTERM");
    expect(await once(child, "exit")).toEqual([0, null]);
  },
);

test("lines that waited for the reader are written at the end of the process if it reads on", async () => {
  const folder = await temporaryFolder();
  const main = join(folder, "main.sock");
  const args = ["--admin-listen", "off", "--status-listen", "off", "--drain-delay-ms", "0", "--listen", `unix:${main}`];
  const child = spawn(process.execPath, [MAIN, "serve", fixture("stdout-filling.js"), ...args], {
    stdio: ["ignore", "pipe", 2],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  await vi.waitFor(() => expect(existsSync(main)).toBe(true), { timeout: 20_000 });
  await failTransactions(main, 3);
  const ended = once(child, "close");
  child.kill("SIGTERM");
  let text = "";
  child.stdout?.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  expect(await ended).toEqual([0, null]);
  const lines = text.replace(/^x+/, "").trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line).msg)).toEqual([
    expect.stringContaining("Starting gRPC server"),
    expect.stringContaining("Status and admin listeners"),
    ...Array.from({ length: 3 }, () => expect.any(String)),
    expect.stringContaining("Stopping"),
    "Stopped",
  ]);
});

test("a server whose log goes to a full disk still answers, counts lost lines and keeps none", async () => {
  const folder = await temporaryFolder();
  const [main, status] = [join(folder, "main.sock"), join(folder, "status.sock")];
  const full = openSync("/dev/full", "w");
  const child = spawn(
    process.execPath,
    [
      ...[MAIN, "serve", fixture("thrower.js"), "--admin-listen", "off", "--drain-delay-ms", "0"],
      ...["--listen", `unix:${main}`, "--status-listen", `unix:${status}`],
    ],
    { stdio: ["ignore", full, 2] },
  );
  closeSync(full);
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  // The main listener opens last.
  await vi.waitFor(() => expect(existsSync(main)).toBe(true), { timeout: 20_000 });
  expect(await page(status, "/healthz")).toBe("ok\n");
  await failTransactions(main, 5);
  const metrics = await page(status, "/metrics");
  // Two lines of the start, five faults.
  expect(metrics).toMatch(/^ext_proc_log_lines_lost_total\{reason="write_failed"\} [7-9]$/m);
  expect(metrics).toMatch(/^ext_proc_log_buffer_bytes 0$/m);
  child.kill("SIGTERM");
  expect(await once(child, "exit")).toEqual([0, null]);
});

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "stalled-log-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

/** The write end of a pipe whose read end is open and never read. */
function unreadPipe(folder: string): number {
  const path = join(folder, "log");
  expect(spawnSync("mkfifo", [path]).status).toBe(0);
  const ends = [openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), openSync(path, constants.O_WRONLY)] as const;
  onTestFinished(() => {
    for (const end of ends) closeSync(end);
  });
  return ends[1];
}

function page(socketPath: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      answer.once("error", reject).once("end", () => resolve(text));
    });
    asked.once("error", reject).end();
  });
}

async function failTransactions(path: string, count: number): Promise<void> {
  const session = connectHttp2("http://localhost", { createConnection: () => connect(path) });
  onTestFinished(() => session.destroy());
  for (let index = 0; index < count; index++) {
    const call = openRawCall(session);
    call.send(requestHeaders());
    expect(await call.status).toBe("13");
  }
  session.destroy();
}
