import type { ConnectRouter } from "@connectrpc/connect";
import type { MemoryShare } from "../../memory/memory-share.ts";

/** Connect's handler of one method. */
export type ConnectHandler = ConnectRouter["handlers"][number] & {
  readonly requestRoom?: RequestRoom | undefined;
};

/** How much of the requests of a handler is kept while they arrive. */
export interface RequestRoom {
  /** A longer message is refused as soon as that is known. */
  readonly maxBytes: number;
  /** Counts them, until the call is over, if they do not count as messages of their stream. */
  readonly memory?: MemoryShare | undefined;
  /** The flag that limits this memory. */
  readonly flag?: string | undefined;
}

/** A request as such a handler takes it, whichever version of HTTP brought it. */
export type ConnectRequest = Parameters<ConnectHandler>[0];

/** What it answers. */
export type ConnectAnswer = Awaited<ReturnType<ConnectHandler>>;

/** The bytes of a body that is all there. */
export async function* bodyOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
