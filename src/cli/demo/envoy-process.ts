import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { JsonObject } from "./envoy-bootstrap.ts";

/** Options of `startEnvoy`. */
export interface EnvoyProcessOptions {
  /** The path of the Envoy binary, from `findEnvoy`. */
  readonly binary: string;
  /** The whole configuration, from `envoyBootstrap`. Listeners and the admin interface can have port 0. */
  readonly bootstrap: JsonObject;
  /** Worker threads, each with its own connections to the service. Default 1. */
  readonly concurrency?: number | undefined;
  /** The log level, `trace` to `critical`. `log()` returns the log. Default `warning`. */
  readonly logLevel?: string | undefined;
  /** Further arguments, such as `--file-flush-interval-msec 50`. Default: none. */
  readonly args?: readonly string[] | undefined;
  /** Timeout until Envoy is ready, in milliseconds. Default 30,000, because CI machines can be slow. */
  readonly readyTimeoutMs?: number | undefined;
  /** Ends Envoy, also while it starts. */
  readonly signal?: AbortSignal | undefined;
}

/** A running Envoy. */
export interface EnvoyProcess {
  /** The actual port of its first listener. */
  readonly port: number;
  /** The port of its admin interface. */
  readonly adminPort: number;
  /** Its release, such as `1.40.0`. */
  readonly version: string;
  /** Resolves when the process has ended. The text says how it ended, in one line. */
  readonly ended: Promise<string>;
  /**
   * The current counters and gauges whose names begin with `prefix`, by the rest of their names:
   * `stats("http.ingress_http.ext_proc.")` gives `{ streams_started: 1, ... }`.
   */
  stats(prefix: string): Promise<Record<string, number>>;
  /** The last 64 KiB of Envoy's log. */
  log(): string;
  /** Ends the process with SIGTERM (SIGKILL after 5 s) and removes its temporary folder. */
  stop(): Promise<void>;
}

/** Thrown if Envoy does not start. The message is one line and includes Envoy's own message. */
export class EnvoyStartError extends Error {
  override readonly name = "EnvoyStartError";
}

const DEFAULT_READY_TIMEOUT_MS = 30_000;
const MAX_LOG_CHARS = 64 * 1024;

/**
 * Starts Envoy as a direct child of this process and waits until it serves. It must be a direct child, because the
 * builds that `installEnvoy` downloads get SIGTERM when their parent ends. Any number of Envoys can run at the same
 * time, because hot restart, and with it the shared base id, is off.
 *
 * Rejects with `EnvoyStartError` if Envoy rejects the configuration, if a port is in use, or if the binary does not
 * run.
 */
export async function startEnvoy(options: EnvoyProcessOptions): Promise<EnvoyProcess> {
  const folder = await mkdtemp(join(tmpdir(), "ext-proc-envoy-"));
  const bootstrapFile = join(folder, "bootstrap.json");
  const adminAddressFile = join(folder, "admin-address");
  await writeFile(bootstrapFile, JSON.stringify(options.bootstrap));
  const args = ["-c", bootstrapFile, "--admin-address-path", adminAddressFile, "--disable-hot-restart"];
  args.push("--concurrency", String(options.concurrency ?? 1), "--log-level", options.logLevel ?? "warning");
  args.push(...(options.args ?? []));
  const child = spawn(options.binary, args, { stdio: ["ignore", "ignore", "pipe"] });
  const log = keepLog(child);
  const ended = untilEnded(child, folder);
  const stop = async () => {
    await endChild(child, ended);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const readiness = await untilReady({ ended, adminAddressFile, options });
    return { ...readiness, ended, log, stop, stats: (prefix) => readStats(readiness.adminPort, prefix) };
  } catch (cause) {
    await stop();
    throw new EnvoyStartError(startProblem(cause, options, log()), { cause });
  }
}

/** Keeps the end of the log, for error messages and for debugging tests. */
function keepLog(child: ChildProcess): () => string {
  let kept = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    kept = (kept + text).slice(-MAX_LOG_CHARS);
  });
  return () => kept;
}

function untilEnded(child: ChildProcess, folder: string): Promise<string> {
  // For the case that this process ends without a call of `stop`: not every Envoy build ends with its parent.
  const endWithUs = () => {
    child.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", endWithUs);
  return new Promise<string>((resolve) => {
    child.once("error", (cause) => resolve(`Envoy cannot be run: ${cause.message}`));
    child.once("close", (exitCode, signal) => {
      process.off("exit", endWithUs);
      resolve(signal ? `Envoy was ended by signal ${signal}` : `Envoy ended with exit code ${exitCode}`);
    });
  });
}

async function endChild(child: ChildProcess, ended: Promise<string>): Promise<void> {
  child.kill("SIGTERM");
  const lastResort = setTimeout(() => child.kill("SIGKILL"), 5000);
  await ended;
  clearTimeout(lastResort);
}

interface Readiness {
  readonly port: number;
  readonly adminPort: number;
  readonly version: string;
}

/** Polls the admin interface until Envoy serves. Envoy writes the address into a file when it listens. */
async function untilReady(start: {
  readonly ended: Promise<string>;
  readonly adminAddressFile: string;
  readonly options: EnvoyProcessOptions;
}): Promise<Readiness> {
  const { ended, adminAddressFile, options } = start;
  const early = new AbortController();
  void ended.then((how) => early.abort(new EnvoyStartError(how)));
  const timeout = AbortSignal.timeout(options.readyTimeoutMs ?? DEFAULT_READY_TIMEOUT_MS);
  const signal = AbortSignal.any([early.signal, timeout, ...(options.signal ? [options.signal] : [])]);
  try {
    const adminPort = await untilDefined(() => readAdminPort(adminAddressFile), signal);
    await untilDefined(() => isLive(adminPort, signal), signal);
    const { version } = await adminJson<{ version: string }>(adminPort, "/server_info", signal);
    const port = await readListenerPort(adminPort, signal);
    // The version has the form revision/1.40.0/Clean/RELEASE/BoringSSL.
    return { port, adminPort, version: version.split("/")[1] ?? version };
  } catch (cause) {
    throw signal.aborted ? signal.reason : cause;
  }
}

async function untilDefined<T>(attempt: () => Promise<T | undefined>, signal: AbortSignal): Promise<T> {
  for (;;) {
    signal.throwIfAborted();
    const value = await attempt();
    if (value !== undefined) return value;
    await delay(20, undefined, { signal });
  }
}

async function readAdminPort(file: string): Promise<number | undefined> {
  const address = await readFile(file, "utf8").catch(() => "");
  const port = Number(/:(\d+)$/.exec(address)?.[1]);
  return port > 0 ? port : undefined;
}

async function isLive(adminPort: number, signal: AbortSignal): Promise<true | undefined> {
  // Envoy opens its admin interface before it has read the rest of its configuration, and can end in between. `ended`
  // shows that, not this function.
  const response = await fetch(`http://127.0.0.1:${adminPort}/ready`, { signal }).catch(() => undefined);
  await response?.text();
  return response?.ok ? true : undefined;
}

async function readListenerPort(adminPort: number, signal: AbortSignal): Promise<number> {
  type Listeners = { listener_statuses?: { local_address: { socket_address?: { port_value: number } } }[] };
  const { listener_statuses: statuses = [] } = await adminJson<Listeners>(adminPort, "/listeners?format=json", signal);
  const port = statuses[0]?.local_address.socket_address?.port_value;
  if (port === undefined) throw new EnvoyStartError("Envoy has no listener with a port");
  return port;
}

async function readStats(adminPort: number, prefix: string): Promise<Record<string, number>> {
  type Stats = { stats: { name?: string; value?: number | string }[] };
  const filter = `^${prefix.replaceAll(/[^\w-]/g, "\\$&")}`;
  const { stats } = await adminJson<Stats>(adminPort, `/stats?format=json&filter=${encodeURIComponent(filter)}`);
  const numbers = stats.filter(({ name, value }) => name !== undefined && typeof value === "number");
  return Object.fromEntries(numbers.map(({ name = "", value }) => [name.slice(prefix.length), Number(value)]));
}

async function adminJson<T>(adminPort: number, path: string, signal?: AbortSignal): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${adminPort}${path}`, signal ? { signal } : {});
  if (!response.ok) throw new Error(`Envoy's admin interface answered ${path} with status ${response.status}`);
  return (await response.json()) as T;
}

function startProblem(cause: unknown, options: EnvoyProcessOptions, log: string): string {
  const words = lastWords(log);
  if (options.signal?.aborted) return "starting Envoy was interrupted";
  if (cause instanceof DOMException && cause.name === "TimeoutError") {
    return `Envoy (${options.binary}) was not ready in ${options.readyTimeoutMs ?? DEFAULT_READY_TIMEOUT_MS} ms${words && `: ${words}`}`;
  }
  const how = cause instanceof Error ? cause.message : String(cause);
  return `${how}${words && `: ${words}`} (${options.binary})`;
}

/**
 * The last message of the most severe level in Envoy's log, without time and place. A log line is
 * `[2026-01-01 00:00:00.000][1][critical][main] [x.cc:1] text`.
 */
function lastWords(log: string): string {
  const entries = log
    .split(/^(?=\[\d{4}-)/m)
    .map((entry) => /^\[[^\]]*\]\[\d+\]\[(\w+)\]\[\w+\] \[[^\]]*\] (.*)$/s.exec(entry));
  const worst = ["critical", "error", "warning"].map((level) => entries.findLast((entry) => entry?.[1] === level));
  const text = worst.find((entry) => entry)?.[2] ?? log;
  // If Envoy rejects a configuration, it logs the reason twice: "error `reason` initializing config 'file'", then the
  // reason.
  const [, reason = text] = /^error `(.*)` initializing config /s.exec(text) ?? [];
  return reason.trim().replaceAll(/\s+/g, " ").slice(0, 600);
}
