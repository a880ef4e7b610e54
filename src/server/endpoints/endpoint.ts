import type { IncomingMessage, ServerResponse } from "node:http";
import { setTimeout as delay } from "node:timers/promises";
import { encodeGrpcMessage } from "../../grpc/status.ts";
import { encodeHeaderBlock } from "../../http2/hpack-encoder.ts";
import type { AcceptStream, Http2Stream, StreamHandler } from "../../http2/http2-stream.ts";
import { GrpcStatus } from "../../protocol/grpc-status.ts";

/** Answers one HTTP/1.1 request. */
export type Http1Handler = (request: IncomingMessage, response: ServerResponse<IncomingMessage>) => void;

/** The handlers of a listener, for both versions of HTTP. */
export interface Endpoint {
  readonly http1: Http1Handler;
  readonly http2: AcceptStream;
}

/** The part of a request that pages and guards use. */
export interface RequestHead {
  readonly method: string;
  /** The path without the query. */
  readonly path: string;
  /** `Host`, or `:authority`; "" if there is none. */
  readonly authority: string;
  readonly authorization: string | undefined;
  /** `content-type`; "" if there is none. */
  readonly contentType: string;
  /** Identifies the client's connection: the same object for all of its requests. */
  readonly connection: object;
}

/** A short answer in text. */
export interface Page {
  readonly status: number;
  /** Bytes if the page is sent to several clients. */
  readonly text: string | Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * An endpoint of pages. Pages are sent at once, also before the end of the request. A gRPC call gets UNIMPLEMENTED
 * instead of a page, because no page is a method of gRPC.
 */
export function pagesEndpoint(pageFor: (head: RequestHead) => Page | Promise<Page>): Endpoint {
  const answerTo = (head: RequestHead) => unimplemented(head) ?? pageFor(head);
  return {
    http1: (request, response) => void sendPage(request, response, answerTo(http1Head(request))),
    http2: (stream, headers) =>
      new PageHandler(stream, headers.method === "HEAD", answerTo(http2Head(headers, stream))),
  };
}

/** The media types of gRPC and gRPC-Web. */
const GRPC = /^application\/grpc(?:-web(?:-text)?)?(?:\+[a-z]+)?(?=;|$)/;

function unimplemented({ method, path, contentType }: RequestHead): Page | undefined {
  const [type] = (method === "POST" && GRPC.exec(contentType)) || [];
  if (type === undefined) return undefined;
  const status = { "grpc-status": String(GrpcStatus.UNIMPLEMENTED), "grpc-accept-encoding": "identity" };
  const message = encodeGrpcMessage(`unknown method ${path.slice(0, 256)}`);
  return { status: 200, text: "", headers: { "content-type": type, ...status, "grpc-message": message } };
}

/** An endpoint with a guard. The guard returns a page to reject a request, or undefined to let it pass. */
export function guarded(endpoint: Endpoint, refusal: (head: RequestHead) => Page | undefined): Endpoint {
  return {
    http1(request, response) {
      const page = refusal(http1Head(request));
      if (page === undefined) endpoint.http1(request, response);
      else void sendPage(request, response, page);
    },
    http2(stream, headers) {
      const page = refusal(http2Head(headers, stream));
      return page === undefined
        ? endpoint.http2(stream, headers)
        : new PageHandler(stream, headers.method === "HEAD", page);
    },
  };
}

/**
 * Reads a request to its end, because an answer before the end makes clients stop sending, and curl lose the answer.
 */
function discardRest(request: IncomingMessage): Promise<void> {
  return new Promise((resolve) => {
    if (request.readableEnded || request.destroyed) resolve();
    request.once("end", resolve).once("close", resolve);
    request.resume();
  });
}

async function sendPage(
  request: IncomingMessage,
  response: ServerResponse<IncomingMessage>,
  page: Page | Promise<Page>,
): Promise<void> {
  // If bytes of the request are unread when the connection closes, the answer can be lost.
  if (!response.shouldKeepAlive)
    await Promise.race([discardRest(request), delay(LINGER_MS, undefined, { ref: false })]);
  const { status, text, headers } = await page;
  response.writeHead(status, { "content-type": TEXT, ...headers });
  response.end(text);
}

/** Answers a stream with a page, also before the end of the request. */
class PageHandler implements StreamHandler {
  readonly #stream: Http2Stream;
  readonly #withoutBody: boolean;
  readonly #page: Page | Promise<Page>;

  constructor(stream: Http2Stream, withoutBody: boolean, page: Page | Promise<Page>) {
    this.#stream = stream;
    this.#withoutBody = withoutBody;
    this.#page = page;
    // Not before the stream has its handler set.
    process.nextTick(() => this.#answer());
  }

  onData(): void {
    // The body of a request to a page is ignored.
  }

  onEnd(): void {
    // The request is answered in any case.
  }

  onReset(): void {
    // There is nothing to stop.
  }

  #answer(): void {
    if (this.#page instanceof Promise) void this.#page.then((page) => this.#send(page));
    else this.#send(this.#page);
  }

  #send({ status, text, headers = {} }: Page): void {
    if (this.#stream.isClosed) return;
    const body = typeof text === "string" ? Buffer.from(text) : text;
    const length = body.length === 0 ? undefined : { "content-length": String(body.length) };
    const fields = { "content-type": TEXT, ...length, ...headers };
    const block = encodeHeaderBlock([[":status", String(status)], ...Object.entries(fields)]);
    this.#stream.receiveRest();
    const isOnlyHeaders = this.#withoutBody || body.length === 0;
    this.#stream.respond(block, isOnlyHeaders);
    if (isOnlyHeaders) return;
    this.#stream.write(body);
    this.#stream.end();
  }
}

const TEXT = "text/plain; charset=utf-8";
/** How long an answer waits for the rest of a request, because a client may not read an answer that comes before. */
export const LINGER_MS = 250;

function http1Head({ method = "", url = "", headers, socket }: IncomingMessage): RequestHead {
  const { host: authority = "", authorization, "content-type": contentType = "" } = headers;
  return { method, path: pathOf(url), authority, authorization, contentType, connection: socket };
}

function http2Head(headers: Parameters<AcceptStream>[1], { peer }: Http2Stream): RequestHead {
  const { method, path, authority } = headers;
  const contentType = headers.get("content-type") ?? "";
  const authorization = headers.get("authorization");
  return { method, path: pathOf(path), authority, authorization, contentType, connection: peer };
}

/** A request target without its query. */
export function pathOf(target: string): string {
  return target.split("?", 1)[0] ?? "";
}
