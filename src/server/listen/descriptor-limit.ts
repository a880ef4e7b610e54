import { closeSync, openSync, readFileSync } from "node:fs";
import { devNull } from "node:os";

/** Most connections of each listener at a time. */
export interface ConnectionCaps {
  readonly main: number;
  readonly status: number;
  readonly admin: number;
}

/**
 * Default limit of connections to the main listener. Each Envoy has one connection for each of its worker threads, so
 * 1,024 is enough for 64 Envoys with 16 threads.
 */
export const DEFAULT_MAX_CONNECTIONS = 1_024;
/** kubelet and Prometheus open a few connections. */
const MAX_STATUS_CONNECTIONS = 64;
/** A person and a browser open a few connections. */
const MAX_ADMIN_CONNECTIONS = 32;

/**
 * File descriptors of Node itself (about 20), of the three listeners, the log, and files that are loaded while the
 * server runs.
 */
const RESERVED_DESCRIPTORS = 36;
/**
 * The share of the other descriptors that connections to the main listener can use by default. The rest is for
 * processors.
 */
const DEFAULT_SHARE = 1 / 2;

/**
 * Calculates how many connections each listener can have. All of them together leave file descriptors for the process,
 * and no listener can use those of another.
 *
 * @param wanted The setting for the main listener; undefined for the default.
 * @param descriptors How many files the process can open; undefined if that is not known.
 */
export function connectionCaps(wanted: number | undefined, descriptors: number | undefined): ConnectionCaps {
  const free = Math.max(0, (descriptors ?? Number.POSITIVE_INFINITY) - RESERVED_DESCRIPTORS);
  const status = atLeastOne(Math.min(MAX_STATUS_CONNECTIONS, free / 4));
  const admin = atLeastOne(Math.min(MAX_ADMIN_CONNECTIONS, free / 8));
  const most = wanted ?? Math.min(DEFAULT_MAX_CONNECTIONS, free * DEFAULT_SHARE);
  return { main: atLeastOne(Math.min(most, free - status - admin)), status, admin };
}

function atLeastOne(count: number): number {
  return Math.max(1, Math.floor(count));
}

/** How many files this process can open at a time; undefined if the system does not tell it. */
export function descriptorLimit(): number | undefined {
  // On Linux. Node raises the soft limit to the hard limit when it starts.
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return reportedLimit();
  }
}

/** The limit in Node's diagnostic report, which takes some milliseconds. Windows has none. */
function reportedLimit(): number | undefined {
  const report = process.report.getReport() as unknown as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: unknown } };
  };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : undefined;
}

/** How often {@link DescriptorWatch} checks. */
const WATCH_INTERVAL_MS = 1_000;

/**
 * Detects that the process has no free file descriptor, by opening a file once a second. Node does not report it: libuv
 * accepts a connection with a reserved descriptor and closes it at once, without an event.
 */
export class DescriptorWatch {
  /** How often there was no free descriptor. */
  shortages = 0;
  readonly #timer: NodeJS.Timeout;

  /** @param onShortage Called each time that all descriptors are in use, with the system's error code. */
  constructor(onShortage: (code: string) => void, intervalMs = WATCH_INTERVAL_MS) {
    this.#timer = setInterval(() => {
      try {
        closeSync(openSync(devNull, "r"));
      } catch (error) {
        const { code = "" } = error as NodeJS.ErrnoException;
        if (code !== "EMFILE" && code !== "ENFILE") return;
        this.shortages++;
        onShortage(code);
      }
    }, intervalMs);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}
