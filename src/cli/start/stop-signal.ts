import { LineLimiter } from "../../server/log/line-limiter.ts";
import type { Logger } from "../../server/log/logger.ts";

/** The signals that ask this process to stop. From this call on they no longer end it by themselves. */
export interface StopSignal {
  /** Resolves with the name of the first one. */
  readonly first: Promise<string>;
  /** Resolves with the name of the second: somebody is in a hurry. */
  readonly second: Promise<string>;
}

/** Kubernetes and `docker stop` send SIGTERM, Ctrl-C is SIGINT, and a terminal that closes sends SIGHUP. */
const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * How soon the same signal may come again without being a second request to stop: Ctrl-C reaches every process of the
 * terminal, and npm forwards what it gets, so that under `npm start` one key press arrives twice.
 */
const ECHO_MS = 250;

/** Listens for SIGTERM, SIGINT and SIGHUP. */
export function stopSignal(): StopSignal {
  const seen: ((name: string) => void)[] = [];
  const next = () => new Promise<string>((resolve) => seen.push(resolve));
  const stop = { first: next(), second: next() };
  let last = { name: "", atMs: 0 };
  for (const name of STOP_SIGNALS) {
    process.on(name, () => {
      const atMs = performance.now();
      const isEcho = name === last.name && atMs - last.atMs < ECHO_MS;
      last = { name, atMs };
      if (!isEcho) seen.shift()?.(name);
    });
  }
  return stop;
}

/**
 * Ignores SIGUSR1, on which Node would open its inspector: a local process that may send signals could then run code in
 * this one. `node --inspect` still works. The image also starts Node with `--disable-sigusr1`, which Node 20 does not have.
 */
export function ignoreInspectorSignal(log: Logger): void {
  const limiter = new LineLimiter();
  process.on("SIGUSR1", () => {
    const line = limiter.next();
    if (line) log.warn(line, "SIGUSR1 is ignored and opens no inspector; to debug, start with node --inspect");
  });
}
