// Every process that the bench starts, so that none outlives it: not after an error, not after Ctrl-C.
import { spawn } from "node:child_process";

/** @typedef {import("node:child_process").ChildProcess} ChildProcess */

const GRACE_MS = 3000;
/** @type {Set<ChildProcess>} */
const running = new Set();

/**
 * Starts a program that this bench has to end.
 *
 * @param {readonly string[]} command
 * @param {import("node:child_process").SpawnOptions} options
 * @returns {ChildProcess}
 */
export function start([program = "", ...args], options) {
  const child = spawn(program, args, options);
  running.add(child);
  const forget = () => running.delete(child);
  child.once("exit", forget).once("error", forget);
  return child;
}

/**
 * Ends a program: SIGTERM, and SIGKILL if that has no effect.
 *
 * @param {ChildProcess} child
 * @returns {Promise<void>}
 */
export async function end(child) {
  if (!running.has(child)) return;
  const gone = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGTERM");
  const lastResort = setTimeout(() => child.kill("SIGKILL"), GRACE_MS);
  await gone;
  clearTimeout(lastResort);
}

/** Has whatever still runs end with this process. */
export function endAllOnExit() {
  // Every Envoy adds its own listener.
  process.setMaxListeners(50);
  process.once("exit", () => {
    for (const child of running) child.kill("SIGKILL");
  });
  for (const [signal, exitCode] of /** @type {const} */ ([
    ["SIGINT", 130],
    ["SIGTERM", 143],
  ])) {
    process.once(signal, () => process.exit(exitCode));
  }
}

/**
 * Runs a program to its end.
 *
 * @param {readonly string[]} command
 * @param {{ readonly cwd?: string, readonly limitMs: number }} options
 * @returns {Promise<string>} What it printed.
 * @throws {Error} Where it cannot be run, fails, or is not done in time; the message has its last words.
 */
export async function run(command, { cwd, limitMs }) {
  const child = start(command, { stdio: ["ignore", "pipe", "pipe"], ...(cwd === undefined ? {} : { cwd }) });
  let output = "";
  let errors = "";
  child.stdout?.setEncoding("utf8").on("data", (text) => {
    output += text;
  });
  child.stderr?.setEncoding("utf8").on("data", (text) => {
    errors = (errors + text).slice(-4000);
  });
  const limit = setTimeout(() => child.kill("SIGKILL"), limitMs);
  const outcome = await new Promise((resolve) => {
    child.once("error", (error) => resolve(error.message));
    child.once("close", (exitCode, signal) => resolve(exitCode === 0 ? "" : `exit ${exitCode ?? signal}`));
  });
  clearTimeout(limit);
  if (outcome !== "") {
    const lastWords = errors.trim() || output.trim().slice(-1000);
    throw new Error(`${command[0]} failed (${outcome})${lastWords === "" ? "" : `: ${lastWords}`}`);
  }
  return output;
}
