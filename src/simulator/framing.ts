import type { HeaderMap } from "./header-map.ts";

/**
 * How a peer finds the end of a message. Over HTTP/1 that is `content-length` where there is one, whatever Envoy sends;
 * over HTTP/2 the end of the stream.
 */
export class Framing {
  /** Bytes that the peer takes for the body; undefined where the message's own end says it. */
  readonly announcedLength: number | undefined;
  readonly #endsItself: boolean;

  /** Looks at headers as they leave Envoy, and adds what its HTTP/1 codec adds. */
  constructor(headers: HeaderMap, endStream: boolean, protocol: "http1" | "http2") {
    const announced = Number(headers.get("content-length") ?? Number.NaN);
    this.announcedLength = protocol === "http1" && Number.isSafeInteger(announced) ? announced : undefined;
    // A server may have set it on a message without a body: the peer then waits for chunks that never come.
    this.#endsItself = !(protocol === "http1" && endStream && headers.has("transfer-encoding"));
  }

  /** The peer has all that was announced, and does not wait for the end. */
  isComplete(received: number): boolean {
    return this.announcedLength !== undefined && received >= this.announcedLength;
  }

  /** Whether the end of the message is one to the peer, which may be waiting for more. */
  endsWith(received: number): boolean {
    if (this.announcedLength !== undefined) return received >= this.announcedLength;
    return this.#endsItself;
  }
}
