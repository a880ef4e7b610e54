import type { UpstreamReport } from "../report/report.ts";
import { ByteBuffer, NO_BYTES } from "./byte-buffer.ts";
import type { PathEnd } from "./filter-path.ts";
import { asReceived, Framing } from "./framing.ts";
import type { HeaderMap } from "./header-map.ts";
import type { HttpExchange, VirtualRoute } from "./http-exchange.ts";
import { chooseRoute } from "./route-table.ts";
import { requestOnWire } from "./tunnel.ts";
import type { VirtualClock } from "./virtual-clock.ts";

/** What the upstream's side tells the transaction. */
export interface UpstreamEvents {
  /** The request's headers match no route. */
  noRoute(): void;
  /** The upstream has got the headers. */
  headersArrived(): void;
  /** The upstream has got the whole request, as far as it knows. */
  requestArrived(): void;
  /** Envoy's router has passed on the whole request. */
  requestPassed(): void;
  /** The upstream has got more bytes of the request. */
  bytesArrived(): void;
}

/** The router and the upstream, where the path of the request ends. */
export class UpstreamSide implements PathEnd {
  readonly #clock: VirtualClock;
  readonly #exchange: HttpExchange;
  readonly #events: UpstreamEvents;
  readonly #body = new ByteBuffer();
  #route: VirtualRoute | undefined;
  #headers: HeaderMap | undefined;
  #trailers: HeaderMap | undefined;
  #framing: Framing | undefined;
  #arrived = false;
  #routeIsStale = true;
  #connected = false;
  #gone = false;

  constructor(clock: VirtualClock, exchange: HttpExchange, events: UpstreamEvents) {
    this.#clock = clock;
    this.#exchange = exchange;
    this.#events = events;
  }

  /** Chooses the route for these headers, and keeps it. */
  chooseRoute(headers: HeaderMap): void {
    this.#route = chooseRoute(this.#exchange.routes, headers);
    this.#routeIsStale = false;
  }

  /** The route is selected again when the headers arrive. */
  forgetRoute(): void {
    this.#routeIsStale = true;
  }

  headers(headers: HeaderMap, endStream: boolean): void {
    if (this.#routeIsStale) this.chooseRoute(headers);
    if (this.#route === undefined) {
      this.#events.noRoute();
      return;
    }
    const protocol = this.#exchange.protocol ?? "http1";
    this.#headers = requestOnWire(headers, protocol).clone();
    this.#framing = new Framing(this.#headers, endStream, { protocol });
    this.#clock.soon(() => this.#connect());
    if (endStream) this.#pass();
  }

  data(bytes: Uint8Array, endStream: boolean): void {
    this.#body.push(bytes);
    if (this.#framing?.isComplete(this.#body.length)) this.#arrive();
    if (endStream) this.#pass();
    this.#events.bytesArrived();
  }

  trailers(trailers: HeaderMap): void {
    this.#trailers = trailers.clone();
    this.#pass();
  }

  /** The number of bytes of the request, or of the client through a tunnel, that the upstream has got. */
  get receivedBytes(): number {
    return this.#body.length;
  }

  /** Ends the transaction: what has not reached the upstream yet will not reach it. */
  disconnect(): void {
    this.#gone = true;
  }

  /**
   * Returns undefined if the upstream got no request. A request that was over before the connection existed is
   * incomplete.
   */
  report(): UpstreamReport | undefined {
    if (this.#headers === undefined) return undefined;
    const limit = this.#framing?.announcedLength ?? this.#body.length;
    const body = this.#body.bytes();
    return {
      route: this.#route?.name ?? "default",
      headers: asReceived(this.#headers, this.#exchange.protocol ?? "http1"),
      body: body.subarray(0, limit),
      trailers: this.#trailers?.entries ?? [],
      end: this.#arrived && this.#connected ? "complete" : "incomplete",
      smuggled: limit < body.length ? body.subarray(limit) : NO_BYTES,
    };
  }

  #pass(): void {
    this.#events.requestPassed();
    if (this.#framing?.endsWith(this.#body.length)) this.#arrive();
  }

  #connect(): void {
    if (this.#gone) return;
    this.#connected = true;
    this.#events.headersArrived();
    if (this.#arrived) this.#events.requestArrived();
  }

  #arrive(): void {
    if (this.#arrived) return;
    this.#arrived = true;
    if (this.#connected) this.#events.requestArrived();
  }
}
