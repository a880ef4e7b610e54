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

/** The parts that all calls of a server share. */
export interface Http1CallOptions {
  readonly log: Logger;
  readonly maxMessageBytes: number;
  /** Counts the request bytes that calls keep. */
  readonly messages: MemoryShare;
}

/** Serves one call of Connect over HTTP/1.1. */
export function connectOverHttp1(handler: HttpHandler, options: Http1CallOptions): Http1Handler {
  return (request, response) => {
    const bytes = requestBytes(request, handler, options);
    nameUsableAuthority(request);
    const call = universalRequestFromNodeRequest(request, response as never, undefined, undefined);
    // The promise of Connect may never settle, so the end of the response releases the bytes.
    response.once("close", () => bytes.release());
    // Connect would allocate memory for the announced length. Node checks that the length is right.
    call.header.delete("content-length");
    const closed = untilClosed(response);
    // Connect's own iteration destroys a request that it does not read to the end, and the answer with it.
    const body = received(request, bytes, handler.requestRoom?.flag);
    handler({ ...call, body })
      .then(async (answer) => {
        if (handler.method.methodKind === "unary") {
          bytes.release();
          await body.discard(LINGER_MS);
        }
        // The next request would have to wait for the rest of this one.
        if (answer.status === REQUEST_TIMEOUT) response.setHeader("connection", "close");
        response.once("finish", () => void body.discard());
        // Connect waits forever for a response that was closed before the first write.
        await Promise.race([closed, universalResponseToNodeResponse(answer, response as never)]);
      })
      .catch((cause: unknown) => {
        // When the client has gone, every write fails, with a code that depends on the version of Node.
        const isGone = response.socket?.destroyed ?? true;
        const { code } = ConnectError.from(cause);
        const fields = { path: pathOf(request.url ?? ""), code: Code[code] };
        if (!isGone) options.log.error(fields, "A call failed in the transport");
        response.destroy();
      });
  };
}

/** Resolves when the answer is sent, or when the client has gone. */
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
    // A connection has one request at a time, so the call gets the whole share of the connection.
    room: roomIn(requestRoom?.memory ?? messages),
    method,
    contentType: headers["content-type"] ?? "",
    maxMessageBytes: requestRoom?.maxBytes ?? maxMessageBytes,
  });
}

/** The body of a request, in whole messages. */
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
    if (!request.complete) body.fail(new ConnectError("the client disconnected", Code.Canceled));
  });
  return body;
}

/**
 * Replaces an unusable host. The host comes from the client and can be missing; Connect puts it into a URL and throws
 * if that fails.
 */
function nameUsableAuthority({ headers }: Parameters<Http1Handler>[0]): void {
  if (headers.host === undefined || !URL.canParse(`http://${headers.host}`)) headers.host = "localhost";
}
