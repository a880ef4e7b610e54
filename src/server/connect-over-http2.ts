import { Code, ConnectError, type ConnectRouter } from "@connectrpc/connect";
import { encodeHeaderBlock } from "../http2/hpack-encoder.ts";
import type { HeaderList } from "../http2/header-list.ts";
import type { AcceptStream, Http2Stream, StreamHandler } from "../http2/stream.ts";
import type { Logger } from "./log.ts";
import { ByteQueue } from "./byte-queue.ts";

type Handler = ConnectRouter["handlers"][number];
type Answer = Awaited<ReturnType<Handler>>;

/** Bytes of a request body that wait for the handler before the stream's window is no longer refilled. */
const MAX_WAITING_BYTES = 64 * 1024;

/** HTTP/2 error codes (RFC 9113 7) with which a peer says that it gave up, by the code that handlers see. */
const RESET_CODES: Readonly<Record<number, Code>> = { 7: Code.Unavailable, 8: Code.Canceled, 11: Code.ResourceExhausted };

/**
 * Serves Connect's universal handlers over our HTTP/2: unary and streaming, gRPC, gRPC-Web and Connect. `otherwise`
 * answers every path that is no RPC.
 */
export function connectOverHttp2(
  handlers: ReadonlyMap<string, Handler>,
  options: { readonly log: Logger; readonly otherwise: AcceptStream },
): AcceptStream {
  return (stream, headers) => {
    const handler = handlers.get(headers.path.split("?", 1)[0] ?? "");
    return handler ? new ConnectCall(stream, headers, { handler, log: options.log }) : options.otherwise(stream, headers);
  };
}

/** One call of a universal handler. */
class ConnectCall implements StreamHandler {
  readonly #stream: Http2Stream;
  readonly #abort = new AbortController();
  readonly #body: ByteQueue;
  #writable: (() => void) | undefined;
  #release: (() => void) | undefined;
  #closed = false;
  #settled = false;

  constructor(stream: Http2Stream, headers: HeaderList, { handler, log }: { readonly handler: Handler; readonly log: Logger }) {
    this.#stream = stream;
    this.#body = new ByteQueue({ maxWaitingBytes: MAX_WAITING_BYTES, full: () => stream.pause(), room: () => stream.resume() });
    stream.beginWork();
    handler({
      httpVersion: "2.0",
      method: headers.method,
      url: urlOf(headers),
      header: webHeaders(headers),
      body: this.#body,
      signal: this.#abort.signal,
    })
      .then((answer) => this.#answer(answer))
      .catch((cause: unknown) => {
        if (this.#closed) return;
        log.error({ path: headers.path, code: Code[ConnectError.from(cause).code] }, "a call failed in the transport");
        stream.reset(INTERNAL_ERROR);
      })
      .finally(() => {
        this.#settled = true;
        this.#release?.();
      });
  }

  onData(buffer: Uint8Array, start: number, end: number): void {
    // Copied: what waits must not hold the socket's buffer.
    const bytes = new Uint8Array(end - start);
    bytes.set(buffer.subarray(start, end));
    this.#body.push(bytes);
  }

  onEnd(): void {
    this.#body.end();
  }

  onReset(code: number): void {
    this.#closed = true;
    const reason = new ConnectError("the peer reset the stream", RESET_CODES[code] ?? Code.Aborted);
    this.#body.fail(reason);
    this.#abort.abort(reason);
    this.#writable?.();
    // A handler that ignores its signal still costs; held, it counts against the concurrent streams.
    if (!this.#settled) this.#release = this.#stream.hold();
  }

  onWritable(): void {
    this.#writable?.();
  }

  async #answer({ status, header, body, trailer }: Answer): Promise<void> {
    const chunks = body?.[Symbol.asyncIterator]();
    // Handlers may set headers until their first message is there, so it is waited for.
    let next = await chunks?.next();
    this.#stream.respond(encodeHeaderBlock([[":status", String(status)], ...fieldsOf(header)]));
    try {
      while (next !== undefined && !next.done && !this.#closed) {
        if (!this.#stream.write(next.value)) await this.#untilWritable();
        next = await chunks?.next();
      }
    } finally {
      if (this.#closed) await chunks?.return?.();
    }
    // A trailer is filled while the body is read, so it is complete only now.
    const trailers = fieldsOf(trailer);
    this.#stream.end(trailers.length > 0 ? encodeHeaderBlock(trailers) : undefined);
  }

  #untilWritable(): Promise<void> {
    if (this.#closed) return Promise.resolve();
    return new Promise((resolve) => {
      this.#writable = resolve;
    });
  }
}

const INTERNAL_ERROR = 2;

/** An authority is data of the peer, such as Istio's `outbound|9002||ext-proc`; Connect makes a URL of it. */
function urlOf({ authority, path }: HeaderList): string {
  const url = `http://${authority}${path}`;
  return URL.canParse(url) ? url : `http://localhost${path}`;
}

function webHeaders(list: HeaderList): Headers {
  const headers = new Headers();
  for (const { name, value } of list.fields) if (!name.startsWith(":")) headers.append(name, value);
  return headers;
}

function fieldsOf(headers: Headers | undefined): [string, string][] {
  return headers ? [...headers] : [];
}
