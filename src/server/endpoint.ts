import type { IncomingMessage, ServerResponse } from "node:http";
import { encodeHeaderBlock } from "../http2/hpack-encoder.ts";
import type { AcceptStream, Http2Stream, StreamHandler } from "../http2/http2-stream.ts";

/** Answers one HTTP/1.1 request. */
export type Http1Handler = (request: IncomingMessage, response: ServerResponse<IncomingMessage>) => void;

/** What a listener serves, over either version of HTTP. */
export interface Endpoint {
  readonly http1: Http1Handler;
  readonly http2: AcceptStream;
}

/** The part of a request that pages and guards look at. */
export interface RequestHead {
  readonly method: string;
  /** Without the query. */
  readonly path: string;
  /** `Host`, or `:authority`; "" where there is none. */
  readonly authority: string;
  readonly authorization: string | undefined;
}

/** A short answer in text. */
export interface Page {
  readonly status: number;
  readonly text: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An endpoint of pages: each request is answered once it is complete, since an earlier answer can be lost. */
export function pagesEndpoint(pageFor: (head: RequestHead) => Page | Promise<Page>): Endpoint {
  return {
    http1: (request, response) => void sendPage(request, response, pageFor(http1Head(request))),
    http2: (stream, headers) => new PageHandler(stream, headers.method === "HEAD", pageFor(http2Head(headers))),
  };
}

/** An endpoint behind a guard, which gives the page that refuses a request, or nothing where it may pass. */
export function guarded(endpoint: Endpoint, refusal: (head: RequestHead) => Page | undefined): Endpoint {
  return {
    http1(request, response) {
      const page = refusal(http1Head(request));
      if (page === undefined) endpoint.http1(request, response);
      else void sendPage(request, response, page);
    },
    http2(stream, headers) {
      const page = refusal(http2Head(headers));
      return page === undefined
        ? endpoint.http2(stream, headers)
        : new PageHandler(stream, headers.method === "HEAD", page);
    },
  };
}

/** Reads on to the end of a request, since an answer before it makes peers break off, and curl lose the answer. */
export function discardRest(request: IncomingMessage): Promise<void> {
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
  await discardRest(request);
  const { status, text, headers } = await page;
  response.writeHead(status, { "content-type": TEXT, ...headers });
  response.end(text);
}

/** Answers a stream with a page at its end. */
class PageHandler implements StreamHandler {
  readonly #stream: Http2Stream;
  readonly #withoutBody: boolean;
  readonly #page: Page | Promise<Page>;

  constructor(stream: Http2Stream, withoutBody: boolean, page: Page | Promise<Page>) {
    this.#stream = stream;
    this.#withoutBody = withoutBody;
    this.#page = page;
  }

  onData(): void {
    // What a request to a page carries is of no use.
  }

  onEnd(): void {
    if (this.#page instanceof Promise) void this.#page.then((page) => this.#send(page));
    else this.#send(this.#page);
  }

  onReset(): void {
    // There is nothing to stop.
  }

  #send({ status, text, headers = {} }: Page): void {
    const body = Buffer.from(text);
    const fields = { "content-type": TEXT, "content-length": String(body.length), ...headers };
    const block = encodeHeaderBlock([[":status", String(status)], ...Object.entries(fields)]);
    this.#stream.respond(block, this.#withoutBody);
    if (this.#withoutBody) return;
    this.#stream.write(body);
    this.#stream.end();
  }
}

const TEXT = "text/plain; charset=utf-8";

function http1Head({ method = "", url = "", headers }: IncomingMessage): RequestHead {
  return { method, path: pathOf(url), authority: headers.host ?? "", authorization: headers.authorization };
}

function http2Head(headers: Parameters<AcceptStream>[1]): RequestHead {
  const { method, path, authority } = headers;
  return { method, path: pathOf(path), authority, authorization: headers.get("authorization") };
}

/** A request target without its query. */
export function pathOf(target: string): string {
  return target.split("?", 1)[0] ?? "";
}
