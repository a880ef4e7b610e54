import type { ConnectRouter } from "@connectrpc/connect";
import type { MemoryShare } from "../../memory/memory-share.ts";

/** Connect's handler of one method. */
export type ConnectHandler = ConnectRouter["handlers"][number] & {
  readonly requestRoom?: RequestRoom | undefined;
};

/** How much of the requests of a handler is kept while they arrive. */
export interface RequestRoom {
  /** A longer message is rejected as soon as its length is known. */
  readonly maxBytes: number;
  /** Counts the bytes of requests until the call is over, if they do not count as messages of their stream. */
  readonly memory?: MemoryShare | undefined;
  /** The flag that limits this memory. */
  readonly flag?: string | undefined;
}

/** A request for a Connect handler, over any version of HTTP. */
export type ConnectRequest = Parameters<ConnectHandler>[0];

/** The answer of a Connect handler. */
export type ConnectAnswer = Awaited<ReturnType<ConnectHandler>>;

/** A body whose chunks are all there. */
export async function* bodyOf(...chunks: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
