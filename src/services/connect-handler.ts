import type { ConnectRouter } from "@connectrpc/connect";

/** Connect's handler of one method. */
export type ConnectHandler = ConnectRouter["handlers"][number];

/** A request as such a handler takes it, whichever version of HTTP brought it. */
export type ConnectRequest = Parameters<ConnectHandler>[0];

/** What it answers. */
export type ConnectAnswer = Awaited<ReturnType<ConnectHandler>>;

/** The bytes of a body that is all there. */
export async function* bodyOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
