import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** Header values and body bytes. Text is sent as UTF-8, bytes as they are. */
export type TextOrBytes = string | Uint8Array;

/** A header line. Names are in lower case on the wire. The same name can come again, and order is kept. */
export type HeaderLine = readonly [name: string, value: TextOrBytes];

/** The body of an HTTP message as it is sent. */
export interface HttpBodyInit {
  /**
   * The body in the chunks in which it arrives. If the exchange opens a tunnel, these are the bytes that go through it:
   * the client sends its part when the tunnel is open. The upstream ends the tunnel after it has sent its part and
   * received as many bytes as the client sends. Absent or an empty list: there is no body, and the headers end the HTTP
   * message. An empty chunk is an empty DATA frame, which only HTTP/2 has.
   */
  readonly chunks?: readonly TextOrBytes[] | undefined;
  /**
   * Time before each chunk, in milliseconds. Default 0: the whole HTTP message arrives with the headers, before the
   * server can answer them, and over HTTP/1 its chunks are joined. Above 0 the first chunk arrives this long after the
   * headers.
   */
  readonly chunkIntervalMs?: number | undefined;
  /**
   * HTTP/2 only: the body ends with an empty DATA frame instead of the last chunk. HTTP/1 always ends so. Default
   * false. The frame arrives together with the last chunk.
   */
  readonly emptyEnd?: boolean | undefined;
  /** Trailer lines, after the last chunk. Over HTTP/1 they need a chunked body. Default: none. */
  readonly trailers?: readonly HeaderLine[] | undefined;
}

/** What the client sends. */
export interface ClientRequest extends HttpBodyInit {
  /** Default GET, or POST if there is a body. */
  readonly method?: string | undefined;
  /** Default "http". */
  readonly scheme?: string | undefined;
  /** Default "example.test". */
  readonly authority?: string | undefined;
  /** Path and query. Default "/". */
  readonly path?: string | undefined;
  /**
   * Further headers. `connection: upgrade` with `upgrade` asks for a tunnel, as method CONNECT does; over HTTP/2 it
   * becomes an extended CONNECT. Envoy accepts every upgrade, as if it were configured (`upgrade_configs`). Over HTTP/1
   * a body without `content-length` is chunked. Headers that Envoy adds before the filter (`x-forwarded-proto`,
   * `x-request-id`) are not added here.
   */
  readonly headers?: readonly HeaderLine[] | undefined;
  /** The client disconnects this long after it sent its headers. Default: never. */
  readonly abortAfterMs?: number | undefined;
}

/** The response of the upstream. */
export interface UpstreamResponse extends HttpBodyInit {
  /** Default 200. 101 accepts an upgrade; over HTTP/2 it becomes 200. */
  readonly status?: number | undefined;
  readonly headers?: readonly HeaderLine[] | undefined;
  /** When it answers: after it has got the whole request, or as soon as it has the headers. Default `request_end`. */
  readonly startsAfter?: "request_end" | "request_headers" | undefined;
  /** Time from that moment until it answers, in milliseconds. Default 0. */
  readonly delayMs?: number | undefined;
}

/** A route that a request matches by the start of its path, and by authority and headers if they are given. */
export interface VirtualRoute {
  /** Name of the upstream, as in `HttpReport.upstream.route`. */
  readonly name: string;
  /** Default: "/" and CONNECT, which has no path. */
  readonly pathPrefix?: string | undefined;
  /** Default: any. */
  readonly authority?: string | undefined;
  /** Headers that must have exactly these values. Default: none. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** An HTTP exchange as plain data: what the client and the upstream do, whatever the filter does. */
export interface HttpExchange {
  /** The protocol of client and upstream. Default "http1". */
  readonly protocol?: "http1" | "http2" | undefined;
  readonly request?: ClientRequest | undefined;
  readonly response?: UpstreamResponse | undefined;
  /** Routes in order; the first that matches wins. Default: one, named "default", that matches everything. */
  readonly routes?: readonly VirtualRoute[] | undefined;
  /** Dynamic metadata that earlier filters have set, by namespace. Default: none. */
  readonly dynamicMetadata?: Readonly<Record<string, JsonObject>> | undefined;
  /**
   * Values of attributes, by name, that do not follow from the exchange (`source.address`, `xds.route_name`). The
   * others (`request.*`, `response.code`) are known from the exchange.
   */
  readonly attributes?: Readonly<Record<string, JsonValue>> | undefined;
}
