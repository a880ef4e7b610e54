import { closeSync, openSync, readFileSync } from "node:fs";
import { devNull } from "node:os";

/** Most connections of each listener at a time. */
export interface ConnectionCaps {
  readonly main: number;
  readonly status: number;
  readonly admin: number;
}

/**
 * Connections to the main listener unless the setting says otherwise. Each Envoy has one for each of its worker threads;
 * 1,024 are 64 Envoys of 16 threads.
 */
export const DEFAULT_MAX_CONNECTIONS = 1_024;
/** kubelet and Prometheus open a few. */
const MAX_STATUS_CONNECTIONS = 64;
/** A person and a browser open a few. */
const MAX_ADMIN_CONNECTIONS = 32;

/** File descriptors of Node itself (about 20), of the three listeners, the log, and files that are loaded while the server runs. */
const RESERVED_DESCRIPTORS = 36;
/** Share of the other descriptors that connections to the main listener may use by default. The rest is for processors. */
const DEFAULT_SHARE = 1 / 2;

/**
 * Works out how many connections each listener may have, so that all of them together leave file descriptors over for the
 * process: one listener cannot take those of another.
 *
 * @param wanted What the setting says for the main listener; undefined for the default.
 * @param descriptors How many files the process may open; undefined if that is not known.
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

/** How many files this process may open at a time; undefined if the system does not say. */
export function descriptorLimit(): number | undefined {
  // Linux. Node has raised the soft limit to the hard one when it started.
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8")) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return reportedLimit();
  }
}

/** What Node's diagnostic report says, which takes some milliseconds. Not on Windows. */
function reportedLimit(): number | undefined {
  const report = process.report.getReport() as unknown as {
    readonly userLimits?: { readonly open_files?: { readonly soft?: unknown } };
  };
  const soft = report.userLimits?.open_files?.soft;
  return typeof soft === "number" ? soft : undefined;
}

/** How often {@link DescriptorWatch} looks. */
const WATCH_INTERVAL_MS = 1_000;

/**
 * Notices when the process has no free file descriptor. Node does not tell it: libuv accepts a connection by a descriptor kept for
 * that purpose and closes it at once, without an event. This asks for a descriptor once a second.
 */
export class DescriptorWatch {
  /** How often there was none. */
  shortages = 0;
  readonly #timer: NodeJS.Timeout;

  /** @param onShortage Called each time that there is no free descriptor, with the system's code. */
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
