import { createServer } from "node:net";

/** The TCP port that one part of the demo will use on 127.0.0.1. */
export type PortChoice =
  | { readonly kind: "chosen"; readonly port: number; readonly instead: boolean }
  | { readonly kind: "used" };

/**
 * Settles which port to use: the one that was asked for, or the usual one, or, where another program has the usual
 * one, 0 for any free one (`instead`). One that was asked for is never replaced.
 *
 * Asked here and not left to Envoy, which shares a used port with another Envoy (SO_REUSEPORT) without a word: each
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
