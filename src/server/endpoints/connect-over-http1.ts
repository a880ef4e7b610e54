import type { ServerResponse } from "node:http";
import { Code, ConnectError } from "@connectrpc/connect";
import { universalRequestFromNodeRequest, universalResponseToNodeResponse } from "@connectrpc/connect-node";
import type { MemoryShare } from "../../memory/memory-share.ts";
import type { HttpHandler } from "../../services/process/http-service.ts";
import type { Logger } from "../log/logger.ts";
import { ByteQueue, MAX_WAITING_BYTES } from "./byte-queue.ts";
import { type Http1Handler, LINGER_MS, pathOf } from "./endpoint.ts";
import { noRoomError, RequestBytes, roomIn } from "./request-bytes.ts";

/** The client has not sent its request in time. */
const REQUEST_TIMEOUT = 408;

/** What the calls of a server share. */
export interface Http1CallOptions {
  readonly log: Logger;
  readonly maxMessageBytes: number;
  /** Counts what calls keep of their requests. */
  readonly messages: MemoryShare;
}

/** Serves one call of Connect over HTTP/1.1. */
export function connectOverHttp1(handler: HttpHandler, options: Http1CallOptions): Http1Handler {
  return (request, response) => {
    const bytes = requestBytes(request, handler, options);
    nameUsableAuthority(request);
    const call = universalRequestFromNodeRequest(request, response as never, undefined, undefined);
    // What Connect makes of an answer never settles, so the end of the response has to do.
    response.once("close", () => bytes.release());
    // Connect reserves as much memory as the length promises, and Node makes sure that it is true.
    call.header.delete("content-length");
    const closed = untilClosed(response);
    // Connect's own iteration destroys a request that it does not read to its end, and with it the answer.
    const body = received(request, bytes, handler.requestRoom?.flag);
    handler({ ...call, body })
      .then(async (answer) => {
        if (handler.method.methodKind === "unary") {
          bytes.release();
          await body.discard(LINGER_MS);
        }
        // The rest would be waited for in front of the next request.
        if (answer.status === REQUEST_TIMEOUT) response.setHeader("connection", "close");
        response.once("finish", () => void body.discard());
        // Connect waits for ever for a response that was closed before it begins to write.
        await Promise.race([closed, universalResponseToNodeResponse(answer, response as never)]);
      })
      .catch((cause: unknown) => {
        // Once the peer is gone every write fails, with a code that depends on Node's version.
        const isGone = response.socket?.destroyed ?? true;
        const { code } = ConnectError.from(cause);
        const fields = { path: pathOf(request.url ?? ""), code: Code[code] };
        if (!isGone) options.log.error(fields, "a call failed in the transport");
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

function requestBytes(
  { headers }: Parameters<Http1Handler>[0],
  { method, requestRoom }: HttpHandler,
  { maxMessageBytes, messages }: Http1CallOptions,
): RequestBytes {
  return new RequestBytes({
    // A connection has one request at a time, so the share of the call is that of the connection.
    room: roomIn(requestRoom?.memory ?? messages),
    method,
    contentType: headers["content-type"] ?? "",
    maxMessageBytes: requestRoom?.maxBytes ?? maxMessageBytes,
  });
}

/** The body of a request, as far as it makes whole messages. */
function received(request: Parameters<Http1Handler>[0], bytes: RequestBytes, flag: string | undefined): ByteQueue {
  const body = new ByteQueue({
    maxWaitingBytes: MAX_WAITING_BYTES,
    full: () => request.pause(),
    room: () => request.resume(),
    handedOver: (count) => bytes.handedOver(count),
  });
  const push = (chunks: readonly Uint8Array[]) => {
    for (const chunk of chunks) body.push(chunk);
  };
  let isRefused = false;
  request.on("data", (chunk: Buffer) => {
    if (isRefused || body.isDiscarded) return;
    const whole = bytes.receive(chunk);
    if (whole !== undefined) {
      push(whole);
      return;
    }
    isRefused = true;
    bytes.release();
    body.refuse(noRoomError(flag));
  });
  request.once("end", () => {
    push(bytes.end());
    body.end();
  });
  request.once("close", () => {
    if (!request.complete) body.fail(new ConnectError("the client went away", Code.Canceled));
  });
  return body;
}

/** A host is data of the peer and may be missing. Connect makes a URL of it, and throws where that fails. */
function nameUsableAuthority({ headers }: Parameters<Http1Handler>[0]): void {
  if (headers.host === undefined || !URL.canParse(`http://${headers.host}`)) headers.host = "localhost";
}
