import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { failureText } from "../../text/failure-text.ts";

/** A way to run pip on this machine. */
export interface Pip {
  /** The program and its first arguments, such as `["python3", "-m", "pip"]`. */
  readonly command: readonly string[];
  /** Whether it knows `--progress-bar raw` (24.1 and later); older ones end with a usage error. */
  readonly reportsProgress: boolean;
}

/** How `runCommand` runs a command. */
export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Ends the command by SIGTERM. */
  readonly signal?: AbortSignal | undefined;
  /** Told each line of its standard output. */
  readonly onLine?: ((line: string) => void) | undefined;
}

/** What a command left behind. */
export interface CommandOutcome {
  /** Undefined when the command could not be started, or ended by a signal. */
  readonly exitCode: number | undefined;
  /** The last 16 KiB of its error output, or why it could not be started. */
  readonly stderr: string;
}

const CANDIDATES = [["python3", "-m", "pip"], ["pip3"], ["pip"], ["python", "-m", "pip"]] as const;
const MAX_STDERR_CHARS = 16 * 1024;

/** The first pip that answers, or undefined where the machine has none. */
export async function findPip(env: NodeJS.ProcessEnv): Promise<Pip | undefined> {
  for (const command of CANDIDATES) {
    let version: RegExpExecArray | null = null;
    const onLine = (line: string) => {
      version ??= /^pip (\d+)\.(\d+)/.exec(line);
    };
    const outcome = await runCommand([...command, "--version"], { env, onLine });
    if (outcome.exitCode === 0 && version !== null) return { command, reportsProgress: isAtLeast24Dot1(version) };
  }
  return undefined;
}

/** Runs a command without a shell, handing out its output line by line. Never rejects: what went wrong is in the outcome. */
export function runCommand(command: readonly string[], options: CommandOptions): Promise<CommandOutcome> {
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
