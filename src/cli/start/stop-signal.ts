import { LineLimiter } from "../../server/log/line-limiter.ts";
import type { Logger } from "../../server/log/logger.ts";

/** The signals that stop this process. After `stopSignal` they no longer end the process themselves. */
export interface StopSignal {
  /** Resolves to the name of the first signal. */
  readonly first: Promise<string>;
  /** Resolves to the name of the second signal, which means: stop at once. */
  readonly second: Promise<string>;
}

/** Kubernetes and `docker stop` send SIGTERM, Ctrl-C sends SIGINT, and a terminal that closes sends SIGHUP. */
const STOP_SIGNALS = ["SIGTERM", "SIGINT", "SIGHUP"] as const;

/**
 * A signal that comes again within this time is not a second request to stop. Ctrl-C reaches every process of the
 * terminal, and npm forwards the signals that it gets, so under `npm start` one key press arrives twice.
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
 * Ignores SIGUSR1. Node would open its inspector, and a local process that can send signals could then run code in this
 * process. `node --inspect` still works. The image also starts Node with `--disable-sigusr1`, which Node 20 does not
 * have.
 */
export function ignoreInspectorSignal(log: Logger): void {
  const limiter = new LineLimiter();
  process.on("SIGUSR1", () => {
    const line = limiter.next();
    if (line) log.warn(line, "Ignored SIGUSR1, which would open Node's inspector; to debug, start with node --inspect");
  });
}
