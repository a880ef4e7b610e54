import { ENHANCE_YOUR_CALM } from "../../http2/error-codes.ts";
import type { HeaderList } from "../../http2/header-list.ts";
import type { Http2Stream, StreamHandler } from "../../http2/http2-stream.ts";
import type { LazyPart } from "../log/lazy-part.ts";
import { type Endpoint, pagesEndpoint } from "./endpoint.ts";

/** The answer if a part cannot be loaded. gRPC clients read status 503 as UNAVAILABLE. */
export const NOT_LOADED: Endpoint = pagesEndpoint(() => ({
  status: 503,
  text: "This part of the server could not be loaded. The next request tries again.\n",
}));

/**
 * An endpoint of a part that is loaded at its first request, or before. A request waits for the load, with the flow
 * control of its stream, and gets 503 if the load fails. After the load, requests go directly to the part.
 */
export function deferredEndpoint<Name extends string>(
  part: LazyPart<Readonly<Record<Name, Endpoint>>>,
  name: Name,
): Endpoint {
  const load = () =>
    part.load().then(
      (endpoints) => endpoints[name],
      () => NOT_LOADED,
    );
  return {
    http1(request, response) {
      if (part.loaded) part.loaded[name].http1(request, response);
      else void load().then(({ http1 }) => http1(request, response));
    },
    http2: (stream, headers) =>
      part.loaded
        ? part.loaded[name].http2(stream, headers)
        : new WaitingStream(
            stream,
            load().then(
              ({ http2 }) =>
                () =>
                  http2(stream, headers),
            ),
          ),
  };
}

/** Keeps the bytes that a stream receives until its handler is loaded, at most one window. */
class WaitingStream implements StreamHandler {
  readonly #stream: Http2Stream;
  readonly #events: ((handler: StreamHandler) => void)[] = [];
  #keptBytes = 0;
  #handler: StreamHandler | undefined;
  #isReset = false;

  constructor(stream: Http2Stream, accepting: Promise<() => StreamHandler>) {
    this.#stream = stream;
    stream.pause();
    void accepting.then((accept) => {
      if (this.#isReset) return;
      // Before the handler, because the handler may pause the stream itself.
      stream.resume();
      const handler = accept();
      this.#handler = handler;
      stream.releaseReceived(this.#keptBytes);
      for (const event of this.#events.splice(0)) event(handler);
    });
  }

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.#handler) {
      this.#handler.onData(bytes, start, end);
      return;
    }
    if (!this.#stream.holdReceived(end - start)) {
      this.#isReset = true;
      this.#events.length = 0;
      this.#stream.reset(ENHANCE_YOUR_CALM);
      return;
    }
    this.#keptBytes += end - start;
    // A copy, because the socket's buffer is reused after this call.
    const copy = Buffer.from(bytes.subarray(start, end));
    this.#events.push((handler) => handler.onData(copy, 0, copy.length));
  }

  onEnd(trailers: HeaderList | undefined): void {
    if (this.#handler) this.#handler.onEnd(trailers);
    else this.#events.push((handler) => handler.onEnd(trailers));
  }

  onReset(code: number): void {
    this.#isReset = true;
    this.#events.length = 0;
    this.#handler?.onReset(code);
  }

  onWritable(): void {
    this.#handler?.onWritable?.();
  }

  isMidMessage(): boolean {
    return this.#handler?.isMidMessage?.() ?? false;
  }
}
