import { textToBytes, toBytes } from "../wire/header-text.ts";
import { readAttribute } from "./attributes.ts";
import type { FilterCallbacks, LocalReply } from "./filter/filter-state.ts";
import { STREAM_WINDOW_BYTES } from "./filter/receive-body.ts";
import { ClientSide } from "./http/client-side.ts";
import { requestHeadersOf, responseHeadersOf } from "./http/exchange-headers.ts";
import { FilterPath, type PathEnd, type PathFilter } from "./http/filter-path.ts";
import type { HeaderMap } from "./http/header-map.ts";
import type { HttpExchange, UpstreamResponse } from "./http/http-exchange.ts";
import { HttpMessageSource } from "./http/http-message-source.ts";
import { asksForTunnel, opensTunnel } from "./http/tunnel.ts";
import { UpstreamSide } from "./http/upstream-side.ts";
import type { Timer, VirtualClock } from "./http/virtual-clock.ts";
import { prepareLocalReply } from "./local-reply.ts";
import type { ClientReport } from "./report/report.ts";
import type { FilterConfig } from "./settings/filter-config.ts";

/** Envoy's default `stream_idle_timeout`. */
const STREAM_IDLE_TIMEOUT_MS = 300_000;
/** Envoy's text for an upstream that closes its connection before its headers have reached the client. */
const TERMINATED = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
/** Envoy's default `timeout` of a route. */
const ROUTE_TIMEOUT_MS = 15_000;

/** The filter's two sides, and its events of the transaction. */
export interface TransactionFilter {
  readonly request: PathFilter;
  readonly response: PathFilter;
  /** The transaction is over. */
  over(): void;
}

/**
 * One HTTP transaction around the filter: connection manager, router, client and upstream. It has the parts of them
 * that decide what the client and the upstream get, and does not know ext_proc.
 */
export class HttpTransaction implements FilterCallbacks {
  readonly requestPath: FilterPath;
  readonly responsePath: FilterPath;
  readonly client: ClientSide;
  readonly upstream: UpstreamSide;
  /** `%RESPONSE_CODE_DETAILS%`. */
  details = "";
  /** How the transaction ended; undefined while it runs. */
  end: ClientReport["end"] | undefined;
  readonly #clock: VirtualClock;
  readonly #exchange: HttpExchange;
  readonly #config: FilterConfig;
  readonly #filter: TransactionFilter;
  readonly #requestSource: HttpMessageSource;
  readonly #responseSource: HttpMessageSource;
  #requestHeaders: HeaderMap | undefined;
  /** The request headers as the client sent them. */
  #asked: HeaderMap | undefined;
  #upstreamSentAll = false;
  #responseHeaders: HeaderMap | undefined;
  #idleTimer: Timer | undefined;
  #routeTimer: Timer | undefined;

  constructor(clock: VirtualClock, exchange: HttpExchange, parts: { config: FilterConfig; filter: TransactionFilter }) {
    this.#clock = clock;
    this.#exchange = exchange;
    this.#config = parts.config;
    this.#filter = parts.filter;
    this.client = new ClientSide(exchange, {
      request: () => this.#asked,
      tunnelOpened: () => this.#clock.soon(() => this.#sendThroughTunnel()),
      ended: () => this.#finish("complete"),
    });
    this.upstream = new UpstreamSide(clock, exchange, {
      noRoute: () => this.#replyForEnvoy(404, "", "route_not_found"),
      headersArrived: () => this.#respondIf("request_headers"),
      requestArrived: () => this.#respondIf("request_end"),
      requestPassed: () => this.#startRouteTimer(),
      bytesArrived: () => this.#endTunnelIfDone(),
    });
    this.requestPath = new FilterPath({
      filter: parts.filter.request,
      end: this.#noticing(this.upstream),
      bufferLimitBytes: this.bufferLimitBytes,
      trailersAreTheEnd: true,
      tooLarge: () => this.#replyForEnvoy(413, "Payload Too Large", "request_payload_too_large"),
      unblocked: () => this.#requestSource.resume(),
    });
    this.responsePath = new FilterPath({
      filter: parts.filter.response,
      end: this.#noticing(this.client),
      bufferLimitBytes: this.bufferLimitBytes,
      trailersAreTheEnd: false,
      tooLarge: () => this.#replyForEnvoy(500, "Internal Server Error", "response_payload_too_large"),
      unblocked: () => this.#responseSource.resume(),
    });
    this.#requestSource = new HttpMessageSource(clock, this.requestPath, () => this.#noticeActivity());
    this.#responseSource = new HttpMessageSource(clock, this.responsePath, () => this.#noticeActivity());
  }

  /** The client sends its request. */
  start(): void {
    const { request = {} } = this.#exchange;
    if (request.abortAfterMs !== undefined) this.#clock.after(request.abortAfterMs, () => this.#abort());
    this.#requestHeaders = requestHeadersOf(request, this.#protocol);
    this.#asked = this.#requestHeaders.clone();
    this.upstream.chooseRoute(this.#requestHeaders);
    if (asksForTunnel(this.#asked))
      this.#requestSource.sendHead(this.#requestHeaders, { protocol: this.#protocol, isFollowed: false });
    else this.#requestSource.send(this.#requestHeaders, request, this.#codec);
  }

  localReply(reply: LocalReply): boolean {
    this.requestPath.abort();
    this.responsePath.abort();
    this.details = reply.details;
    if (this.client.hasHeaders) {
      this.#finish("reset");
      return false;
    }
    const { headers, body, endStream } = prepareLocalReply(reply, this.#requestHeaders);
    this.client.headers(headers, endStream);
    if (!endStream) this.client.data(body, true);
    return true;
  }

  streamedReplyHeaders(headers: HeaderMap, endStream: boolean): void {
    this.responsePath.abort();
    this.details = "ext_proc_local_response";
    if (headers.has(":status")) {
      this.client.headers(headers, endStream);
      return;
    }
    const body = textToBytes("missing required header: :status");
    const details = "filter_removed_required_response_headers{missing_required_header:_:status}";
    this.localReply({ status: 502, body, details });
  }

  streamedReplyData(bytes: Uint8Array, endStream: boolean): void {
    this.#noticeActivity();
    if (this.end === undefined) this.client.data(bytes, endStream);
  }

  streamedReplyTrailers(trailers: HeaderMap): void {
    if (this.end === undefined) this.client.trailers(trailers);
  }

  clearRouteCache(): void {
    this.upstream.forgetRoute();
  }

  attribute(name: string): unknown {
    const { observabilityMode, release } = this.#config;
    if (observabilityMode && !release.observesRequestAttributes && name.startsWith("request.")) return undefined;
    return readAttribute(name, {
      given: this.#exchange.attributes ?? {},
      protocol: this.#protocol,
      request: this.#requestHeaders,
      response: this.#responseHeaders,
    });
  }

  /** Ends a transaction in which nothing can happen any more, and that no timeout will end. */
  stall(): void {
    this.#finish("stalled");
  }

  get #protocol(): "http1" | "http2" {
    return this.#exchange.protocol ?? "http1";
  }

  /** The limit depends on the client's protocol, for responses too. Over HTTP/2 it is the stream window. */
  get bufferLimitBytes(): number {
    return this.#protocol === "http2" ? STREAM_WINDOW_BYTES : this.#config.bufferLimitBytes;
  }

  get #codec(): { protocol: "http1" | "http2"; sliceBytes: number } {
    return { protocol: this.#protocol, sliceBytes: this.#config.bufferLimitBytes };
  }

  #respondIf(moment: UpstreamResponse["startsAfter"]): void {
    const { startsAfter: wanted = "request_end", delayMs = 0 } = this.#exchange.response ?? {};
    // A request that asks for a tunnel has no end for which the upstream could wait.
    const startsAfter = this.#asked && asksForTunnel(this.#asked) ? "request_headers" : wanted;
    // A timer even for 0 ms, because the ext_proc server is nearer than the upstream.
    if (startsAfter === moment) this.#clock.after(delayMs, () => this.#respond());
  }

  #respond(): void {
    if (this.end !== undefined || this.#responseHeaders !== undefined) return;
    const { response = {} } = this.#exchange;
    this.details = "via_upstream";
    const hasNoBody =
      this.#requestHeaders?.get(":method") === "HEAD" || response.status === 204 || response.status === 304;
    const body = hasNoBody ? {} : response;
    const isTunnel = opensTunnel(this.#asked, String(response.status ?? 200));
    this.#responseHeaders = responseHeadersOf(response, { protocol: this.#protocol, body, isTunnel });
    if (!isTunnel) {
      this.#responseSource.send(this.#responseHeaders, body, this.#codec);
      return;
    }
    const isFollowed = (body.chunks ?? []).length > 0 && (body.chunkIntervalMs ?? 0) === 0;
    this.#responseSource.sendHead(this.#responseHeaders, { protocol: this.#protocol, isFollowed });
    const onSent = () => {
      this.#upstreamSentAll = true;
      this.#endTunnelIfDone();
    };
    this.#responseSource.sendThroughTunnel(body, { protocol: this.#protocol, onSent });
  }

  #sendThroughTunnel(): void {
    this.#requestSource.sendThroughTunnel(this.#exchange.request ?? {}, { protocol: this.#protocol, onSent: () => {} });
  }

  /** Ends the tunnel after the upstream has sent all its bytes, and has got as many as the client sends. */
  #endTunnelIfDone(): void {
    if (!this.#upstreamSentAll) return;
    const { chunks = [] } = this.#exchange.request ?? {};
    const sentBytes = chunks.reduce((total, chunk) => total + toBytes(chunk).length, 0);
    if (this.upstream.receivedBytes < sentBytes) return;
    this.#upstreamSentAll = false;
    // This runs after everything that needs no time, such as answers to what was sent.
    this.#clock.after(0, () => this.#endTunnel());
  }

  #endTunnel(): void {
    this.#responseSource.endTunnel(this.#protocol);
    if (this.#protocol === "http2" || this.end !== undefined) return;
    const details = "upstream_reset_after_response_started{connection_termination}";
    this.details = details;
    if (this.client.hasHeaders) this.#finish("reset");
    else this.localReply({ status: 503, body: textToBytes(TERMINATED), details });
  }

  /**
   * Sends a response that Envoy makes itself. If there is no other response yet, it passes the filter like one of the
   * upstream.
   */
  #replyForEnvoy(status: number, text: string, details: string): void {
    const reply = { status, body: textToBytes(text), details };
    const passesFilter = this.#config.release.sendsLocalReplies && !this.client.hasHeaders;
    if (this.#responseHeaders !== undefined || !passesFilter) {
      this.localReply(reply);
      return;
    }
    this.requestPath.abort();
    this.details = details;
    const { headers, body, endStream } = prepareLocalReply(reply, this.#requestHeaders);
    this.#responseHeaders = headers;
    this.responsePath.receiveHeaders(headers, endStream);
    if (!endStream) this.responsePath.receiveData(body, true);
  }

  #startRouteTimer(): void {
    const timeoutMs = this.#config.settings.routeTimeoutMs ?? ROUTE_TIMEOUT_MS;
    if (timeoutMs === 0) return;
    this.#routeTimer = this.#clock.after(timeoutMs, () => {
      if (this.responsePath.complete) return;
      if (this.#responseHeaders === undefined) {
        this.#replyForEnvoy(504, "upstream request timeout", "response_timeout");
        return;
      }
      this.details = "upstream_response_timeout";
      this.#finish("reset");
    });
  }

  /** Restarts the idle timeout, because something was sent on either side. */
  #noticeActivity(): void {
    this.#idleTimer?.cancel();
    const timeoutMs = this.#config.settings.streamIdleTimeoutMs ?? STREAM_IDLE_TIMEOUT_MS;
    if (timeoutMs === 0 || this.end !== undefined) return;
    this.#idleTimer = this.#clock.after(timeoutMs, () => {
      this.#replyForEnvoy(this.requestPath.complete ? 504 : 408, "stream timeout", "stream_idle_timeout");
    });
  }

  #noticing(end: PathEnd): PathEnd {
    return {
      headers: (headers, endStream) => {
        this.#noticeActivity();
        end.headers(headers, endStream);
      },
      data: (bytes, endStream) => {
        this.#noticeActivity();
        end.data(bytes, endStream);
      },
      trailers: (trailers) => {
        this.#noticeActivity();
        end.trailers(trailers);
      },
    };
  }

  #abort(): void {
    if (this.end === undefined) this.details = "downstream_remote_disconnect";
    this.#finish("aborted");
  }

  #finish(end: ClientReport["end"]): void {
    if (this.end !== undefined) return;
    this.end = end;
    this.#idleTimer?.cancel();
    this.#routeTimer?.cancel();
    this.requestPath.abort();
    this.responsePath.abort();
    this.upstream.disconnect();
    this.#filter.over();
  }
}
