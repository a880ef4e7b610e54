import type { Direction, Phase } from "../../protocol/phase.ts";
import type { HeaderMap } from "../http/header-map.ts";
import type { VirtualClock } from "../http/virtual-clock.ts";
import type { Counters } from "../report/counters.ts";
import type { Warning } from "../report/report.ts";
import { type WarningCode, warning } from "../report/warnings.ts";
import type { FilterConfig } from "../settings/filter-config.ts";
import type { FilterDirection } from "./direction-state.ts";
import type { DynamicMetadata } from "./dynamic-metadata.ts";
import type { ExtProcStream } from "./ext-proc-stream.ts";

/** A response that Envoy makes itself. */
export interface LocalReply {
  readonly status: number;
  readonly body: Uint8Array;
  /** `%RESPONSE_CODE_DETAILS%`. */
  readonly details: string;
  readonly grpcStatus?: number | undefined;
  /** Changes the headers before they leave. */
  readonly mutate?: ((headers: HeaderMap) => void) | undefined;
}

/** What the filter asks of the connection manager around it. */
export interface FilterHost {
  /** How much of a body Envoy buffers, or reads ahead, in either direction. */
  readonly bufferLimitBytes: number;
  /**
   * Answers the client instead of the upstream; once response headers have reached it, resets the stream instead.
   *
   * @returns Whether the client gets the reply.
   */
  localReply(reply: LocalReply): boolean;
  /** A response that the filter itself sends in pieces. */
  streamedReplyHeaders(headers: HeaderMap, endStream: boolean): void;
  streamedReplyData(bytes: Uint8Array, endStream: boolean): void;
  streamedReplyTrailers(trailers: HeaderMap): void;
  /** Envoy selects the route again when the request continues. */
  clearRouteCache(): void;
  /** The value of an attribute; undefined if it is unknown. */
  attribute(name: string): unknown;
}

/** What makes a filter's state. */
export interface FilterStateParts {
  readonly config: FilterConfig;
  readonly clock: VirtualClock;
  readonly host: FilterHost;
  readonly counters: Counters;
  readonly metadata: DynamicMetadata;
  readonly request: FilterDirection;
  readonly response: FilterDirection;
  readonly openStream: () => ExtProcStream;
}

/** Everything that a filter knows about one transaction. The other files of this folder say what the filter does with it. */
export class FilterState {
  readonly config: FilterConfig;
  readonly clock: VirtualClock;
  readonly host: FilterHost;
  readonly counters: Counters;
  readonly metadata: DynamicMetadata;
  readonly request: FilterDirection;
  readonly response: FilterDirection;
  readonly warnings: Warning[] = [];
  /** The stream, from the first message until either side is done with it. */
  stream: ExtProcStream | undefined;
  /** The one stream that there ever is. */
  everStream: ExtProcStream | undefined;
  /** Nothing is asked of the server any more. */
  processingComplete = false;
  /** A local reply was made, by the server's wish or for an error. */
  repliedLocally = false;
  protocolConfigSent = false;
  /** How far a streamed immediate response has come. */
  streamedReply: "none" | "started" | "ended" = "none";
  readonly #openStream: () => ExtProcStream;

  constructor(parts: FilterStateParts) {
    this.config = parts.config;
    this.clock = parts.clock;
    this.host = parts.host;
    this.counters = parts.counters;
    this.metadata = parts.metadata;
    this.request = parts.request;
    this.response = parts.response;
    this.#openStream = parts.openStream;
  }

  /** One of the two directions. */
  direction(direction: Direction): FilterDirection {
    return direction === "request" ? this.request : this.response;
  }

  /**
   * Whether a failure lets the transaction pass. It does not if a body went to the server in FULL_DUPLEX_STREAMED: Envoy
   * keeps no copy of it.
   */
  get failsOpen(): boolean {
    return this.config.failureModeAllow && !isIrretrievable(this.request) && !isIrretrievable(this.response);
  }

  /** Opens the stream unless it is open. False if processing is over. */
  openStream(): boolean {
    if (this.processingComplete) return false;
    if (this.stream === undefined) {
      this.counters.streams_started++;
      this.stream = this.#openStream();
      this.everStream = this.stream;
    }
    return true;
  }

  closeStream(): void {
    if (this.stream?.close()) this.counters.streams_closed++;
    this.stream = undefined;
  }

  warn(code: WarningCode, phase: Phase | undefined, header?: string): void {
    this.warnings.push(warning(code, phase, header));
  }
}

function isIrretrievable({ mode, bodyReceived }: FilterDirection): boolean {
  return mode.body === "FULL_DUPLEX_STREAMED" && bodyReceived;
}
