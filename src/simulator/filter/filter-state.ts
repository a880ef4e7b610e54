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
  /** Changes the headers before they are sent. */
  readonly mutate?: ((headers: HeaderMap) => void) | undefined;
}

/** What the filter can ask of the connection manager around it, as in Envoy. */
export interface FilterCallbacks {
  /** The number of bytes of a body that Envoy buffers, or reads ahead, in either direction. */
  readonly bufferLimitBytes: number;
  /**
   * Answers the client instead of the upstream. If response headers have already reached the client, resets the stream.
   *
   * @returns True if the client gets the reply.
   */
  localReply(reply: LocalReply): boolean;
  /** Sends a response that the server sends in pieces. */
  streamedReplyHeaders(headers: HeaderMap, endStream: boolean): void;
  streamedReplyData(bytes: Uint8Array, endStream: boolean): void;
  streamedReplyTrailers(trailers: HeaderMap): void;
  /** Envoy selects the route again when the request continues. */
  clearRouteCache(): void;
  /** The value of an attribute; undefined if it is unknown. */
  attribute(name: string): unknown;
}

/** The parts of a filter's state. */
export interface FilterStateParts {
  readonly config: FilterConfig;
  readonly clock: VirtualClock;
  readonly callbacks: FilterCallbacks;
  readonly counters: Counters;
  readonly metadata: DynamicMetadata;
  readonly request: FilterDirection;
  readonly response: FilterDirection;
  readonly openStream: () => ExtProcStream;
}

/** The state of the filter in one transaction. The other files of this folder change it. */
export class FilterState {
  readonly config: FilterConfig;
  readonly clock: VirtualClock;
  readonly callbacks: FilterCallbacks;
  readonly counters: Counters;
  readonly metadata: DynamicMetadata;
  readonly request: FilterDirection;
  readonly response: FilterDirection;
  readonly warnings: Warning[] = [];
  /** The stream, from the first message until one side ends it. */
  stream: ExtProcStream | undefined;
  /** The stream, also after its end. A transaction has at most one stream. */
  everStream: ExtProcStream | undefined;
  /** True after Envoy stopped asking the server. */
  processingComplete = false;
  /** True after a local reply, which the server wanted or an error caused. */
  repliedLocally = false;
  protocolConfigSent = false;
  /** How far a streamed immediate response has come. */
  streamedReply: "none" | "started" | "ended" = "none";
  readonly #openStream: () => ExtProcStream;

  constructor(parts: FilterStateParts) {
    this.config = parts.config;
    this.clock = parts.clock;
    this.callbacks = parts.callbacks;
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
   * True if the transaction continues after a failure. It does not if a part of a body went to the server in
   * FULL_DUPLEX_STREAMED, because Envoy keeps no copy of that body.
   */
  get failsOpen(): boolean {
    return this.config.failureModeAllow && !isIrretrievable(this.request) && !isIrretrievable(this.response);
  }

  /** Opens the stream if it is not open. Returns false if processing is over. */
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
