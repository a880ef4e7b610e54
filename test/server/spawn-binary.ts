import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import type { LogLine } from "./start-server.ts";

/** The program as it is shipped; `npm test` builds it first. */
const MAIN = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
/** The environment that `npm start` and the image set. */
const NODE_FLAGS: readonly string[] = ["--single-threaded-gc"];

export interface BinaryOptions {
  /** Variables in addition to PATH and HOME. */
  readonly env?: Readonly<Record<string, string>> | undefined;
  readonly cwd?: string | undefined;
  /** The program's main file. Default: the one that this package ships. */
  readonly main?: string | undefined;
  /** Arguments of Node itself. */
  readonly nodeArgs?: readonly string[] | undefined;
  /** How many files the process may open. Needs bash. Default: as many as this process. */
  readonly openFiles?: number | undefined;
}

/** How a run of the program ended. */
export interface BinaryEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The running program. It is killed when the test is over. */
export interface RunningBinary {
  readonly child: ChildProcess;
  /** The first log line, written already or yet to come, whose message contains the text. */
  logged(text: string): Promise<LogLine>;
  /** Port that the main listener logged. */
  port(): Promise<number>;
  /** Ports of the status and the admin listener. */
  otherPorts(): Promise<{ readonly status: number; readonly admin: number }>;
  kill(signal: NodeJS.Signals): void;
  readonly ended: Promise<BinaryEnd>;
}

/** Starts `ext-proc ARGS`. */
export function spawnBinary(args: readonly string[], options: BinaryOptions = {}): RunningBinary {
  const { PATH = "", HOME = "" } = process.env;
  const command = [process.execPath, ...NODE_FLAGS, ...(options.nodeArgs ?? []), options.main ?? MAIN, ...args];
  const limited = ["bash", "-c", `ulimit -n ${options.openFiles} && exec "$@"`, "bash", ...command];
  const [file = "", ...fileArgs] = options.openFiles === undefined ? command : limited;
  const child = spawn(file, fileArgs, {
    env: { PATH, HOME, ...options.env },
    cwd: options.cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const said = { stdout: "", stderr: "" };
  for (const name of ["stdout", "stderr"] as const) {
    child[name].setEncoding("utf8").on("data", (text: string) => {
      said[name] += text;
    });
  }
  const ended = once(child, "close").then(([code, signal]) => ({ code, signal, ...said }) as BinaryEnd);
  const logged = (text: string) => findLine(child, ended, () => said.stdout, text);
  return {
    child,
    logged,
    async port() {
      return portOf((await logged("Starting gRPC server on")).address);
    },
    async otherPorts() {
      const { status, admin } = await logged("Status and admin listeners are open");
      return { status: portOf(status), admin: portOf(admin) };
    },
    kill: (signal) => child.kill(signal),
    ended,
  };
}

/** Runs `ext-proc ARGS` to its end. */
export function runBinary(args: readonly string[], options: BinaryOptions = {}): Promise<BinaryEnd> {
  return spawnBinary(args, options).ended;
}

async function findLine(
  child: ChildProcess,
  ended: Promise<BinaryEnd>,
  stdout: () => string,
  text: string,
): Promise<LogLine> {
  let over: BinaryEnd | undefined;
  void ended.then((end) => {
    over = end;
  });
  for (;;) {
    const line = stdout()
      .split("\n")
      .find((candidate) => candidate.includes(text));
    if (line !== undefined) return JSON.parse(line) as LogLine;
    if (over !== undefined) throw new Error(`ended without ${JSON.stringify(text)}: ${JSON.stringify(over)}`);
    await Promise.race([ended, once(child.stdout as NodeJS.ReadableStream, "data")]);
  }
}

function portOf(address: unknown): number {
  return Number(String(address).split(":").at(-1));
}
