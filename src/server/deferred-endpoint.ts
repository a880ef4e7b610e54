import type { HeaderList } from "../http2/header-list.ts";
import type { StreamHandler } from "../http2/http2-stream.ts";
import type { Endpoint } from "./endpoint.ts";

/**
 * An endpoint that is still being loaded. What comes before it is there waits for it, within the flow control of its
 * own stream; afterwards there is no difference.
 */
export function deferredEndpoint(loading: Promise<Endpoint>): Endpoint {
  let loaded: Endpoint | undefined;
  void loading.then((endpoint) => {
    loaded = endpoint;
  });
  return {
    http1(request, response) {
      if (loaded) loaded.http1(request, response);
      else void loading.then(({ http1 }) => http1(request, response));
    },
    http2: (stream, headers) =>
      loaded
        ? loaded.http2(stream, headers)
        : new WaitingStream(
            loading.then(
              ({ http2 }) =>
                () =>
                  http2(stream, headers),
            ),
          ),
  };
}

/** Keeps what a stream receives until its handler is there. */
class WaitingStream implements StreamHandler {
  readonly #events: ((handler: StreamHandler) => void)[] = [];
  #handler: StreamHandler | undefined;

  constructor(accepting: Promise<() => StreamHandler>) {
    void accepting.then((accept) => {
      const handler = accept();
      this.#handler = handler;
      for (const event of this.#events.splice(0)) event(handler);
    });
  }

  onData(bytes: Buffer, start: number, end: number): void {
    if (this.#handler) {
      this.#handler.onData(bytes, start, end);
      return;
    }
    // Copied: the socket's buffer lives only as long as this call.
    const copy = Buffer.from(bytes.subarray(start, end));
    this.#events.push((handler) => handler.onData(copy, 0, copy.length));
  }

  onEnd(trailers: HeaderList | undefined): void {
    if (this.#handler) this.#handler.onEnd(trailers);
    else this.#events.push((handler) => handler.onEnd(trailers));
  }

  onReset(code: number): void {
    if (this.#handler) this.#handler.onReset(code);
    else this.#events.push((handler) => handler.onReset(code));
  }

  onWritable(): void {
    this.#handler?.onWritable?.();
  }
}
