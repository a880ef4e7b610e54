import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { failureText } from "../../text/failure-text.ts";

/** A way to run pip on this machine. */
export interface Pip {
  /** The program and its first arguments, such as `["python3", "-m", "pip"]`. */
  readonly command: readonly string[];
  /** True if this pip knows `--progress-bar raw` (24.1 and later). Older ones end with a usage error. */
  readonly reportsProgress: boolean;
}

/** Options of `runCommand`. */
export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Ends the command with SIGTERM. */
  readonly signal?: AbortSignal | undefined;
  /** Called with each line of its standard output. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** The result of a command. */
export interface FinishedCommand {
  /** Undefined if the command could not be started, or if a signal ended it. */
  readonly exitCode: number | undefined;
  /** The last 16 KiB of its error output, or why it could not be started. */
  readonly stderr: string;
}

const CANDIDATES = [["python3", "-m", "pip"], ["pip3"], ["pip"], ["python", "-m", "pip"]] as const;
const MAX_STDERR_CHARS = 16 * 1024;

/** The first pip that answers; undefined if the machine has none. */
export async function findPip(env: NodeJS.ProcessEnv): Promise<Pip | undefined> {
  for (const command of CANDIDATES) {
    let version: RegExpExecArray | null = null;
    const onLine = (line: string) => {
      version ??= /^pip (\d+)\.(\d+)/.exec(line);
    };
    const finished = await runCommand([...command, "--version"], { env, onLine });
    if (finished.exitCode === 0 && version !== null) return { command, reportsProgress: isAtLeast24Dot1(version) };
  }
  return undefined;
}

/**
 * Runs a command without a shell and reports its output line by line. Never rejects: the result says what went wrong.
 */
export function runCommand(command: readonly string[], options: CommandOptions): Promise<FinishedCommand> {
  const { env, signal, onLine } = options;
  const [program = "", ...args] = command;
  return new Promise((resolve) => {
    const child = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], ...(signal && { signal }) });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(-MAX_STDERR_CHARS);
    });
    createInterface({ input: child.stdout }).on("line", (line) => onLine?.(line));
    child.on("error", (cause) => resolve({ exitCode: undefined, stderr: failureText(cause) }));
    child.on("close", (exitCode) => resolve({ exitCode: exitCode ?? undefined, stderr }));
  });
}

function isAtLeast24Dot1([, major, minor]: RegExpExecArray): boolean {
  return Number(major) > 24 || (Number(major) === 24 && Number(minor) >= 1);
}
