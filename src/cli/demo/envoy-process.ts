import { type ChildProcess, spawn } from "node:child_process";
import { rmSync } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import type { JsonObject } from "./envoy-bootstrap.ts";

/** How `startEnvoy` runs Envoy. */
export interface EnvoyProcessOptions {
  /** The Envoy program, as `findEnvoy` found it. */
  readonly binary: string;
  /** Its whole configuration, from `envoyBootstrap`. Listeners and admin may ask for port 0. */
  readonly bootstrap: JsonObject;
  /** Worker threads, each with its own connections to the service. Default 1. */
  readonly concurrency?: number | undefined;
  /** `trace` to `critical`; what Envoy logs is kept for `log()`. Default `warning`. */
  readonly logLevel?: string | undefined;
  /** Further arguments, such as `--file-flush-interval-msec 50`. Default: none. */
  readonly args?: readonly string[] | undefined;
  /** How long Envoy may take until it is ready. Default 30,000: CI machines are slow at times. */
  readonly readyTimeoutMs?: number | undefined;
  /** Ends Envoy, also while it is still starting. */
  readonly signal?: AbortSignal | undefined;
}

/** A running Envoy. */
export interface EnvoyProcess {
  /** The port its first listener really has. */
  readonly port: number;
  /** The port of its admin interface. */
  readonly adminPort: number;
  /** Its release, such as `1.40.0`. */
  readonly version: string;
  /** Settles when the process has ended, for whatever reason; the text says how, in one line. */
  readonly ended: Promise<string>;
  /**
   * The counters and gauges whose names begin with `prefix`, as they are now, by the rest of their names:
   * `stats("http.ingress_http.ext_proc.")` gives `{ streams_started: 1, ... }`.
   */
  stats(prefix: string): Promise<Record<string, number>>;
  /** The last 64 KiB of what Envoy has logged. */
  log(): string;
  /** Ends the process by SIGTERM (SIGKILL after 5 s) and removes its temporary folder. */
  stop(): Promise<void>;
}

/** Envoy did not start; the message is one line with Envoy's own words in it. */
export class EnvoyStartError extends Error {
  override readonly name = "EnvoyStartError";
}

const DEFAULT_READY_TIMEOUT_MS = 30_000;
const MAX_LOG_CHARS = 64 * 1024;

/**
 * Starts Envoy as a direct child of this process and waits until it serves. It has to be a direct child: the builds
 * that `installEnvoy` fetches get SIGTERM as soon as their parent is gone. Any number can run side by side, since hot
 * restart, and with it the shared base id, is off.
 *
 * Rejects with `EnvoyStartError` when the configuration is refused, a port is used or the program does not run.
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

/** Keeps the end of the log, for error messages and for whoever debugs a test. */
function keepLog(child: ChildProcess): () => string {
  let kept = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    kept = (kept + text).slice(-MAX_LOG_CHARS);
  });
  return () => kept;
}

function untilEnded(child: ChildProcess, folder: string): Promise<string> {
  // Should this process end without having called `stop`; not every Envoy build ends with its parent.
  const endWithUs = () => {
    child.kill("SIGTERM");
    rmSync(folder, { recursive: true, force: true });
  };
  process.once("exit", endWithUs);
  return new Promise<string>((resolve) => {
    child.once("error", (cause) => resolve(`Envoy cannot be run: ${cause.message}`));
    child.once("close", (exitCode, signal) => {
      process.off("exit", endWithUs);
      resolve(signal ? `Envoy was ended by ${signal}` : `Envoy ended with exit code ${exitCode}`);
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

/** Asks the admin interface until Envoy serves. Its address is in a file, which appears once it listens. */
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
    // The version reads revision/1.40.0/Clean/RELEASE/BoringSSL.
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
  // Envoy opens its admin interface before it has read the rest of its configuration, and may end in between: that
  // is seen by its end, not here.
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
  if (!response.ok) throw new Error(`Envoy's admin interface answered ${path} with ${response.status}`);
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

/** What Envoy logged worst, without time and place: `[2026-01-01 00:00:00.000][1][critical][main] [x.cc:1] text`. */
function lastWords(log: string): string {
  const entries = log
    .split(/^(?=\[\d{4}-)/m)
    .map((entry) => /^\[[^\]]*\]\[\d+\]\[(\w+)\]\[\w+\] \[[^\]]*\] (.*)$/s.exec(entry));
  const worst = ["critical", "error", "warning"].map((level) => entries.findLast((entry) => entry?.[1] === level));
  const text = worst.find((entry) => entry)?.[2] ?? log;
  // A refused configuration is told twice: "error `reason` initializing config 'file'", then the reason.
  const [, reason = text] = /^error `(.*)` initializing config /s.exec(text) ?? [];
  return reason.trim().replaceAll(/\s+/g, " ").slice(0, 600);
}
