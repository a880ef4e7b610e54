import type { JsonObject, JsonValue } from "@bufbuild/protobuf";

/** Header values and body bytes. Text is sent as UTF-8, bytes as they are. */
export type TextOrBytes = string | Uint8Array;

/** A header line. Names are lower-case on the wire; the same name may come again, and order is kept. */
export type HeaderLine = readonly [name: string, value: TextOrBytes];

/** A message body as it comes over the wire. */
export interface HttpBodyInit {
  /**
   * The body, cut as it arrives; or, of an exchange with a tunnel, what goes through it. The client sends its part once the
   * tunnel is open, and the upstream ends the tunnel when it has sent its own and received as many bytes as the client sends. Absent or an empty list: no body, the headers end the message. An empty piece is an
   * empty DATA frame, which only HTTP/2 has.
   */
  readonly chunks?: readonly TextOrBytes[] | undefined;
  /**
   * Time before each chunk, in milliseconds. Default 0: the whole message is there with the headers, before the server
   * can answer them, and over HTTP/1 its chunks are one. Above 0 the first chunk comes that long after the headers, and so
   * on.
   */
  readonly chunkIntervalMs?: number | undefined;
  /**
   * HTTP/2 only: the body ends with an empty DATA frame, not on the last chunk. HTTP/1 always ends so. Default false.
   * The frame comes with the last chunk.
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
   * Further headers. `connection: upgrade` and `upgrade` ask for a tunnel, as method CONNECT does; over HTTP/2 they are
   * written as an extended CONNECT. Every upgrade counts as configured in Envoy (`upgrade_configs`). Over HTTP/1 a body without `content-length` is chunked. What Envoy itself adds before the filter
   * (`x-forwarded-proto`, `x-request-id`) is not added here.
   */
  readonly headers?: readonly HeaderLine[] | undefined;
  /** The client goes away this long after it sent its headers. Default: never. */
  readonly abortAfterMs?: number | undefined;
}

/** What the upstream answers. */
export interface UpstreamResponse extends HttpBodyInit {
  /** Default 200. 101 accepts an upgrade; over HTTP/2 it is written as 200. */
  readonly status?: number | undefined;
  readonly headers?: readonly HeaderLine[] | undefined;
  /** When it answers: once it has the whole request, or as soon as it has its headers. Default `request_end`. */
  readonly startsAfter?: "request_end" | "request_headers" | undefined;
  /** Time that it takes to answer from then, in milliseconds. Default 0. */
  readonly delayMs?: number | undefined;
}

/** A route that a request matches by the start of its path, and by authority and headers if they are given. */
export interface VirtualRoute {
  /** Name of the upstream, as in `HttpReport.upstream.route`. */
  readonly name: string;
  /** Default "/", and CONNECT, which has no path. */
  readonly pathPrefix?: string | undefined;
  /** Default: any. */
  readonly authority?: string | undefined;
  /** Headers with exactly these values. Default: none asked for. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** One HTTP transaction as plain data: what client and upstream do, whatever the filter does. */
export interface HttpExchange {
  /** The protocol of client and upstream. Default "http1". */
  readonly protocol?: "http1" | "http2" | undefined;
  readonly request?: ClientRequest | undefined;
  readonly response?: UpstreamResponse | undefined;
  /** Routes in order; the first that matches wins. Default: one, named "default", that matches everything. */
  readonly routes?: readonly VirtualRoute[] | undefined;
  /** Dynamic metadata that filters before this one have set, by namespace. Default: none. */
  readonly dynamicMetadata?: Readonly<Record<string, JsonObject>> | undefined;
  /**
   * Values of attributes that do not follow from the exchange (`source.address`, `xds.route_name`), by name. Those that
   * can be (`request.*`, `response.code`) need not be given.
   */
  readonly attributes?: Readonly<Record<string, JsonValue>> | undefined;
}
