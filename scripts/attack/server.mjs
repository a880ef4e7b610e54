// The server under attack: the real command line, as it was built, in a separate process.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { makeMemoryCgroup } from "./memory-cgroup.mjs";

/**
 * @typedef {object} ServerOptions
 * @property {string} [victim] Which body handler the processor has; see victim.mjs. Default: none.
 * @property {readonly string[]} [args] Further arguments of `serve`. Default: none, so that every setting is the default.
 * @property {"file" | "unread pipe" | "/dev/full"} [log] Where the log goes. Default: a file.
 * @property {number} [maxOpenFiles] The limit of open files.
 * @property {number} [memoryLimitMiB] The memory cgroup that the server runs in; if this machine has none, a limit of its heap.
 *   Default 512, the limit in deploy/ext.yaml.
 *
 * @typedef {{ main: number, status: number, admin: number }} Ports
 *
 * @typedef {object} RunningServer
 * @property {number} pid
 * @property {Ports} ports
 * @property {() => string} log What it has logged so far; empty if the log does not go to a file.
 * @property {() => string | undefined} ending How it ended; undefined while it runs.
 * @property {"cgroup" | "heap"} limitedBy What keeps it to its memory limit.
 * @property {(withinMs: number) => Promise<number | undefined>} stop Sends SIGINT; gives the milliseconds until the end,
 *   or undefined if the server did not end by itself.
 */

const main = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const victimFile = fileURLToPath(new URL("victim.mjs", import.meta.url));
const START_TIMEOUT_MS = 20_000;
/** The environment that the image sets. */
export const IMAGE_ENVIRONMENT = { NODE_ENV: "production", MALLOC_MMAP_THRESHOLD_: "131072" };
const MEMORY_LIMIT_MIB = 512;

/**
 * Starts `ext-proc serve` on free ports of loopback, and waits until it is ready.
 *
 * @param {ServerOptions} [options]
 * @returns {Promise<RunningServer>}
 */
export async function startServer(options = {}) {
  const folder = mkdtempSync(join(tmpdir(), "ext-proc-attack-"));
  const logFile = join(folder, "log");
  const [mainPort = 0, status = 0, admin = 0] = await freePorts(3);
  const ports = { main: mainPort, status, admin };
  const limitMiB = options.memoryLimitMiB ?? MEMORY_LIMIT_MIB;
  const cgroup = makeMemoryCgroup(limitMiB << 20);
  const child = spawnServer({ ...options, cgroup: cgroup?.folder, limitMiB }, ports, logFile);
  /** @type {string | undefined} */
  let ending;
  // If this process is ended itself, before it has called `stop`.
  const endWithUs = () => {
    child.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
    cgroup?.removeNow();
  };
  process.once("exit", endWithUs);
  child.once("exit", (code, signal) => {
    const isOverLimit = cgroup !== undefined && cgroup.kills() > 0;
    ending = signal === null ? `exit code ${code}` : `signal ${signal}${isOverLimit ? ` at ${limitMiB} MiB` : ""}`;
  });
  /** @param {number} withinMs */
  const stop = async (withinMs) => {
    const startedMs = performance.now();
    if (ending === undefined) {
      const exit = once(child, "exit");
      child.kill("SIGINT");
      await Promise.race([exit, delay(withinMs, undefined, { ref: false })]);
      if (ending === undefined) {
        child.kill("SIGKILL");
        await exit;
      }
    }
    const tookMs = performance.now() - startedMs;
    child.stdout?.destroy();
    rmSync(folder, { recursive: true, force: true });
    await cgroup?.remove();
    process.off("exit", endWithUs);
    return tookMs < withinMs ? tookMs : undefined;
  };
  const log = () => readFileSync(logFile, "utf8");
  /** @type {"cgroup" | "heap"} */
  const limitedBy = cgroup === undefined ? "heap" : "cgroup";
  const running = { pid: child.pid ?? -1, ports, log, ending: () => ending, limitedBy, stop };
  if (await isReady(running)) return running;
  const words = log().slice(-2000);
  const how = ending;
  await stop(0);
  throw new Error(`the server did not become ready (${how ?? "it still runs"}): ${words}`);
}

/**
 * @param {ServerOptions & { cgroup: string | undefined, limitMiB: number }} options
 * @param {Ports} ports
 * @param {string} logFile
 * @returns {import("node:child_process").ChildProcess}
 */
function spawnServer({ victim = "none", args = [], log = "file", maxOpenFiles, cgroup, limitMiB }, ports, logFile) {
  const listen = ["--listen", `127.0.0.1:${ports.main}`, "--status-listen", `127.0.0.1:${ports.status}`];
  const heap = cgroup === undefined ? [`--max-old-space-size=${limitMiB}`] : [];
  const command = [process.execPath, "--single-threaded-gc", ...heap, main, "serve", victimFile, ...listen];
  command.push("--admin-listen", `127.0.0.1:${ports.admin}`, ...args);
  const prelude = [
    cgroup === undefined ? "" : `echo $$ > '${cgroup}/cgroup.procs' || exit 97`,
    maxOpenFiles === undefined ? "" : `ulimit -n ${maxOpenFiles} || exit 98`,
  ];
  const file = openSync(logFile, "a");
  const full = log === "/dev/full" ? openSync("/dev/full", "w") : undefined;
  // The server takes the place of the shell, so it has the shell's process id and gets its signals.
  const child = spawn("/bin/sh", ["-c", [...prelude, 'exec "$@"'].filter(Boolean).join("\n"), "sh", ...command], {
    env: { ...process.env, ...IMAGE_ENVIRONMENT, EXT_PROC_ATTACK_VICTIM: victim },
    // Nothing reads our end of the pipe.
    stdio: ["ignore", log === "unread pipe" ? "pipe" : (full ?? file), file],
  });
  child.stdout?.pause();
  closeSync(file);
  if (full !== undefined) closeSync(full);
  return child;
}

/** @param {RunningServer} server */
async function isReady({ ports, ending }) {
  const endMs = performance.now() + START_TIMEOUT_MS;
  while (ending() === undefined && performance.now() < endMs) {
    const answer = await fetch(`http://127.0.0.1:${ports.status}/readyz`).catch(() => undefined);
    await answer?.text();
    if (answer?.ok) return true;
    await delay(20);
  }
  return false;
}

/**
 * Ports of loopback that were free a moment ago.
 *
 * @param {number} count
 */
async function freePorts(count) {
  const servers = Array.from({ length: count }, () => createServer().listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const ports = servers.map((server) => /** @type {import("node:net").AddressInfo} */ (server.address()).port);
  await Promise.all(servers.map((server) => once(server.close(), "close")));
  return ports;
}
