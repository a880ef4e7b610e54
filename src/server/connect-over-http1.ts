import type { IncomingMessage, ServerResponse } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import { FairShare } from "../memory/fair-share.ts";
import type { MemoryShare } from "../memory/memory-share.ts";
import type { HttpHandler } from "../services/http-service.ts";
import { discardRest, type Http1Handler, pathOf } from "./endpoint.ts";
import type { Logger } from "./logger.ts";
import { noRoomError, RequestBytes } from "./request-bytes.ts";

/** What the calls of a server share. */
export interface Http1CallOptions {
  readonly log: Logger;
  readonly maxMessageBytes: number;
  /** Counts what calls keep of their requests. */
  readonly messages: MemoryShare;
}

/** Serves one call of Connect over HTTP/1.1. */
export function connectOverHttp1(
  handler: HttpHandler,
  { log, maxMessageBytes, messages }: Http1CallOptions,
): Http1Handler {
  return (request, response) => {
    // A connection has one request at a time, so the share of the call is that of the connection.
    const share = new FairShare(messages);
    const bytes = new RequestBytes({
      room: { holdReceived: (count) => share.take(count), releaseReceived: (count) => share.give(count) },
      method: handler.method,
      contentType: request.headers["content-type"] ?? "",
      maxMessageBytes,
    });
    nameUsableAuthority(request);
    const call = universalRequestFromNodeRequest(request, response as never, undefined, undefined);
    // What Connect makes of an answer never settles, so the end of the response has to do.
    response.once("close", () => bytes.release());
    // Connect reserves as much memory as the length promises, and Node makes sure that it is true.
    call.header.delete("content-length");
    const closed = untilClosed(response);
    handler({ ...call, body: counted(request, bytes) })
      .then(async (answer) => {
        if (handler.method.methodKind === "unary") await discardRest(request);
        else response.once("finish", () => request.resume());
        // Connect waits for ever for a response that was closed before it begins to write.
        await Promise.race([closed, universalResponseToNodeResponse(answer, response as never)]);
      })
      .catch((cause: unknown) => {
        // Once the peer is gone every write fails, with a code that depends on Node's version.
        const isGone = response.socket?.destroyed ?? true;
        const { code } = ConnectError.from(cause);
        if (!isGone) log.error({ path: pathOf(request.url ?? ""), code: Code[code] }, "a call failed in the transport");
        response.destroy();
      });
  };
}

/** Resolves when the answer is sent, or the client has gone. */
function untilClosed(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    if (response.closed) resolve();
    else response.once("close", resolve);
  });
}

/** Connect's own iteration destroys a request that it does not read to its end, and with it the answer. */
async function* counted(request: IncomingMessage, bytes: RequestBytes): AsyncGenerator<Uint8Array> {
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    const whole = bytes.receive(chunk);
    if (whole === undefined) throw noRoomError();
    yield* handedOver(whole, bytes);
  }
  yield* handedOver(bytes.end(), bytes);
}

function* handedOver(chunks: readonly Uint8Array[], bytes: RequestBytes): Generator<Uint8Array> {
  for (const chunk of chunks) {
    bytes.handedOver(chunk.length);
    yield chunk;
  }
}

/** A host is data of the peer and may be missing. Connect makes a URL of it, and throws where that fails. */
function nameUsableAuthority({ headers }: Parameters<Http1Handler>[0]): void {
  if (headers.host === undefined || !URL.canParse(`http://${headers.host}`)) headers.host = "localhost";
}
