import { createServer } from "node:net";

/** The TCP port that one part of the demo will use on 127.0.0.1. */
export type PortChoice =
  | { readonly kind: "chosen"; readonly port: number; readonly instead: boolean }
  | { readonly kind: "used" };

/**
 * Chooses the port to use: the port that was asked for, or the default port. If another program uses the default port,
 * it is 0 for any free port (`instead`). A port that was asked for is never replaced.
 *
 * This check is not left to Envoy, because Envoy silently shares a port with another Envoy (SO_REUSEPORT). Each of them
 * would then get half of the connections.
 */
export async function choosePort(asked: number | undefined, usual: number): Promise<PortChoice> {
  if (await isFree(asked ?? usual)) return { kind: "chosen", port: asked ?? usual, instead: false };
  return asked === undefined ? { kind: "chosen", port: 0, instead: true } : { kind: "used" };
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once("error", () => resolve(false));
    probe.listen(port, "127.0.0.1", () => probe.close(() => resolve(true)));
  });
}
