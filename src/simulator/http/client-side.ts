import type { ClientReport } from "../report/report.ts";
import { ByteBuffer, NO_BYTES } from "./byte-buffer.ts";
import type { PathEnd } from "./filter-path.ts";
import { asReceived, Framing } from "./framing.ts";
import type { HeaderMap } from "./header-map.ts";
import type { HttpExchange } from "./http-exchange.ts";
import { opensTunnel, responseOnWire } from "./tunnel.ts";

/** What the client's side asks the transaction, and tells it. */
export interface ClientEvents {
  /** The request as the client sent it; undefined before that. */
  request(): HeaderMap | undefined;
  /** The client can send through its tunnel. */
  tunnelOpened(): void;
  /** Envoy has sent the end of the response. */
  ended(): void;
}

/** The client, where the path of the response ends. */
export class ClientSide implements PathEnd {
  readonly #protocol: "http1" | "http2";
  /** True if the client sent HEAD over HTTP/1. It then reads no body, even if the method was changed on the way. */
  readonly #readsNoBody: boolean;
  readonly #events: ClientEvents;
  readonly #body = new ByteBuffer();
  #headers: HeaderMap | undefined;
  #trailers: HeaderMap | undefined;
  #framing: Framing | undefined;
  #waitsForMore = false;
  #isTunnel = false;

  constructor({ protocol = "http1", request }: HttpExchange, events: ClientEvents) {
    this.#protocol = protocol;
    this.#readsNoBody = protocol === "http1" && request?.method === "HEAD";
    this.#events = events;
  }

  /** True after Envoy has sent response headers: then no other response can replace them. */
  get hasHeaders(): boolean {
    return this.#headers !== undefined;
  }

  headers(headers: HeaderMap, endStream: boolean): void {
    const request = this.#events.request();
    this.#isTunnel = opensTunnel(request, headers.get(":status"));
    this.#headers = responseOnWire(headers, { protocol: this.#protocol, request });
    this.#framing = new Framing(this.#headers, endStream, { protocol: this.#protocol, isToHead: this.#readsNoBody });
    if (endStream) this.#events.ended();
    else if (this.#isTunnel) this.#events.tunnelOpened();
  }

  data(bytes: Uint8Array, endStream: boolean): void {
    this.#body.push(bytes);
    if (!endStream) return;
    this.#waitsForMore = !this.#readsNoBody && !this.#framing?.endsWith(this.#body.length);
    this.#events.ended();
  }

  trailers(trailers: HeaderMap): void {
    this.#trailers = trailers.clone();
    this.#events.ended();
  }

  /** A client that has got all announced bytes does not notice what Envoy does afterwards. */
  #endFor(end: ClientReport["end"]): ClientReport["end"] {
    // An HTTP/1 tunnel ends with its connection.
    if (this.#isTunnel && this.#protocol === "http1" && end === "reset") return "complete";
    if (end === "complete") return this.#waitsForMore ? "stalled" : end;
    return end !== "aborted" && this.#framing?.isComplete(this.#body.length) ? "complete" : end;
  }

  report(end: ClientReport["end"]): ClientReport {
    const body = this.#body.bytes();
    const limit = this.#readsNoBody ? 0 : (this.#framing?.announcedLength ?? body.length);
    const status = this.#headers?.get(":status");
    return {
      status: status === undefined ? undefined : Number(status),
      headers: (this.#headers ? asReceived(this.#headers, this.#protocol) : []).filter(([name]) => name !== ":status"),
      body: body.subarray(0, limit),
      trailers: this.#framing?.announcedLength === undefined ? (this.#trailers?.entries ?? []) : [],
      end: this.#endFor(end),
      surplus: limit < body.length ? body.subarray(limit) : NO_BYTES,
    };
  }
}
