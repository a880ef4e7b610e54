import { createServer } from "node:net";
import type { Problem } from "../../text/problem.ts";

/** The TCP port that one part of the demo will use on 127.0.0.1. */
export interface ChosenPort {
  readonly port: number;
  /** True if another program uses the default port, so that this port replaces it. */
  readonly instead: boolean;
}

/**
 * Chooses the port to use: the port that was asked for, or the default port. If another program uses the default port,
 * it is 0 for any free port (`instead`). A port that was asked for is never replaced.
 *
 * This check is not left to Envoy, because Envoy silently shares a port with another Envoy (SO_REUSEPORT). Each of them
 * would then get half of the connections.
 */
export async function choosePort(asked: number | undefined, usual: number): Promise<ChosenPort | Problem> {
  if (await isFree(asked ?? usual)) return { port: asked ?? usual, instead: false };
  if (asked === undefined) return { port: 0, instead: true };
  return { problem: `port ${asked} is in use by another process; 0 = any free port` };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
