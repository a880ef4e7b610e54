import type { Direction } from "../protocol/phase.ts";
import { bytesToText } from "../wire/header-text.ts";
import { messageTimedOut, streamClosed, streamFailed } from "./answers/failure.ts";
import { receiveMessage } from "./answers/receive-message.ts";
import { FilterDirection } from "./filter/direction-state.ts";
import { DynamicMetadata } from "./filter/dynamic-metadata.ts";
import type { ExtProcServer } from "./filter/ext-proc-server.ts";
import { ExtProcStream } from "./filter/ext-proc-stream.ts";
import { FilterState } from "./filter/filter-state.ts";
import { MessageTimer } from "./filter/message-timer.ts";
import { receiveData, receiveHeaders, receiveTrailers } from "./filter/receive-http.ts";
import type { PathFilter } from "./http/filter-path.ts";
import type { HttpExchange } from "./http/http-exchange.ts";
import { VirtualClock } from "./http/virtual-clock.ts";
import { HttpTransaction } from "./http-transaction.ts";
import { zeroCounters } from "./report/counters.ts";
import type { HttpReport, UpstreamReport, Warning } from "./report/report.ts";
import { warning } from "./report/warnings.ts";
import type { FilterConfig } from "./settings/filter-config.ts";
import { directionMode } from "./settings/processing-mode.ts";

/** How long Envoy leaves an observed stream open. */
const DEFERRED_CLOSE_TIMEOUT_MS = 5000;

/**
 * One transaction through the simulated Envoy: the filter, and the HTTP transaction around it.
 *
 * The simulator is an independent witness of what Envoy does. Where it repeats a rule that the server knows too
 * (tunnels, mutation rules, framing, gRPC requests), it does so on purpose: a mistake in the server's copy then shows
 * as a difference.
 */
export class FilteredTransaction {
  readonly clock = new VirtualClock();
  readonly #filter: FilterState;
  readonly #http: HttpTransaction;
  #endedAtMs: number | undefined;

  constructor(server: ExtProcServer, config: FilterConfig, exchange: HttpExchange) {
    const { clock } = this;
    this.#http = new HttpTransaction(clock, exchange, {
      config,
      filter: {
        request: this.#side("request"),
        response: this.#side("response"),
        over: () => this.#over(),
      },
    });
    this.#filter = new FilterState({
      config,
      clock,
      callbacks: this.#http,
      counters: zeroCounters(),
      metadata: new DynamicMetadata(exchange.dynamicMetadata),
      request: this.#direction("request", config),
      response: this.#direction("response", config),
      openStream: () => this.#openStream(server),
    });
  }

  /** True after the client has got everything that it will get. */
  get isOver(): boolean {
    return this.#endedAtMs !== undefined;
  }

  start(): void {
    this.clock.soon(() => this.#http.start());
  }

  /** Does everything for which no time must pass. */
  settle(): void {
    this.clock.runReady();
  }

  /** Lets time pass until something happens. Returns false if nothing will happen any more. */
  advance(): boolean {
    const { everStream } = this.#filter;
    if (this.isOver && (everStream?.closed ?? true)) return false;
    if (this.clock.advance()) return true;
    if (this.isOver) return false;
    this.#http.stall();
    return true;
  }

  report(): HttpReport {
    const { counters, metadata, warnings, everStream } = this.#filter;
    const upstream = this.#http.upstream.report();
    const client = this.#http.client.report(this.#http.end ?? "stalled");
    return {
      upstream,
      client,
      messages: everStream?.messages ?? [],
      streamEnd: everStream?.end ?? "none",
      counters,
      responseCodeDetails: this.#http.details,
      dynamicMetadata: metadata.untyped,
      typedDynamicMetadata: metadata.typed,
      warnings: [...warnings, ...framingWarnings({ upstream, client, requestEnded: this.#filter.request.complete })],
      durationMs: this.#endedAtMs ?? this.clock.nowMs,
    };
  }

  #side(direction: Direction): PathFilter {
    return {
      headers: (headers, endStream) =>
        receiveHeaders(this.#filter, this.#filter.direction(direction), { headers, endStream }),
      data: (frame) => receiveData(this.#filter, this.#filter.direction(direction), frame),
      trailers: (trailers) => receiveTrailers(this.#filter, this.#filter.direction(direction), trailers),
    };
  }

  #direction(direction: Direction, config: FilterConfig): FilterDirection {
    const path = direction === "request" ? this.#http.requestPath : this.#http.responsePath;
    const timer = new MessageTimer(this.clock, () => messageTimedOut(this.#filter));
    return new FilterDirection(direction, directionMode(config.mode, direction), { path, timer });
  }

  #openStream(server: ExtProcServer): ExtProcStream {
    const initialMetadata = this.#filter.config.grpcInitialMetadata;
    return new ExtProcStream({ server, initialMetadata }, this.clock, {
      message: (response) => receiveMessage(this.#filter, response),
      // An observed stream can end after the filter was destroyed.
      closed: () => this.isOver || streamClosed(this.#filter),
      failed: (code, message) => this.isOver || streamFailed(this.#filter, code, message),
      ignored: () => this.#filter.warn("answer_after_end", undefined),
    });
  }

  /** Destroys the filter. An observed stream stays open for a while, because messages can still be on their way. */
  #over(): void {
    this.#endedAtMs = this.clock.nowMs;
    const filter = this.#filter;
    filter.processingComplete = true;
    filter.request.timer.stop();
    filter.response.timer.stop();
    const { observabilityMode, settings } = filter.config;
    if (observabilityMode) {
      const { deferredCloseTimeoutMs = DEFERRED_CLOSE_TIMEOUT_MS } = settings;
      this.clock.after(deferredCloseTimeoutMs, () => filter.closeStream());
    } else filter.closeStream();
  }
}

function framingWarnings({
  upstream,
  client,
  requestEnded,
}: Pick<HttpReport, "upstream" | "client"> & { readonly requestEnded: boolean }): Warning[] {
  const warnings: Warning[] = [];
  const add = (code: "body_after_content_length" | "body_short_of_content_length", phase: Warning["phase"]) =>
    warnings.push(warning(code, phase, "content-length"));
  if (upstream && upstream.smuggled.length > 0) add("body_after_content_length", "requestHeaders");
  if (client.surplus.length > 0) add("body_after_content_length", "responseHeaders");
  // If the client leaves in the middle of its request, no processor caused the missing bytes.
  if (upstream?.end === "incomplete" && requestEnded && isShort(upstream))
    add("body_short_of_content_length", "requestHeaders");
  if (client.end === "stalled" && isShort(client)) add("body_short_of_content_length", "responseHeaders");
  return warnings;
}

/** True if fewer bytes came than `content-length` announced. */
function isShort({ headers, body }: Pick<UpstreamReport, "headers" | "body">): boolean {
  const announced = headers.find(([name]) => name === "content-length");
  return announced !== undefined && body.length < Number(bytesToText(announced[1]));
}
