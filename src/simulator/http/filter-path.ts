import { ByteBuffer, NO_BYTES } from "./byte-buffer.ts";
import type { HeaderMap } from "./header-map.ts";

/** A piece of a body in a filter's hands. What the filter leaves in `bytes` is passed on if it returns `continue`. */
export interface DataFrame {
  bytes: Uint8Array;
  readonly endStream: boolean;
}

/** What a filter says to a piece of a body, by the names of Envoy's `FilterDataStatus`. */
export type DataStatus = "continue" | "stop_and_buffer" | "stop_and_watermark" | "stop_no_buffer";

/** The filter in the middle of a path. */
export interface PathFilter {
  headers(headers: HeaderMap, endStream: boolean): "continue" | "stop";
  data(frame: DataFrame): DataStatus;
  trailers(trailers: HeaderMap): "continue" | "stop";
}

/** The end of a path: the upstream for requests, the client for responses. */
export interface PathEnd {
  headers(headers: HeaderMap, endStream: boolean): void;
  data(bytes: Uint8Array, endStream: boolean): void;
  trailers(trailers: HeaderMap): void;
}

export interface FilterPathOptions {
  readonly filter: PathFilter;
  readonly end: PathEnd;
  readonly bufferLimitBytes: number;
  /** If trailers came, nothing that a filter injects ends the message. True for requests. */
  readonly trailersAreTheEnd: boolean;
  /** More was buffered than the limit allows, by a filter that wants the whole body. */
  readonly tooLarge: () => void;
  /** The path takes data again. */
  readonly unblocked: () => void;
}

/**
 * One direction of Envoy's filter chain around a single filter: it stops when the filter says so, keeps what the filter
 * wants kept, and continues from there when the filter allows it. Headers always leave before data, and data before trailers.
 */
export class FilterPath {
  /** True once the last of the message came in. */
  complete = false;
  /** What was kept for a filter that has stopped the path; undefined if no data came to be kept. */
  buffered: ByteBuffer | undefined;
  trailers: HeaderMap | undefined;
  readonly #options: FilterPathOptions;
  #headers: HeaderMap | undefined;
  #headersContinued = false;
  #stopped = false;
  #ended = false;
  #aborted = false;
  #watermarks = 0;
  #bufferFull = false;

  constructor(options: FilterPathOptions) {
    this.#options = options;
  }

  /** True while the source must wait: it sent more than may be kept. */
  get blocked(): boolean {
    return this.#watermarks > 0 || this.#bufferFull;
  }

  /** True once headers left the filter. */
  get headersContinued(): boolean {
    return this.#headersContinued;
  }

  /** The path is given up, for a local reply or a reset: nothing moves on it any more. */
  abort(): void {
    this.#aborted = true;
  }

  get aborted(): boolean {
    return this.#aborted;
  }

  receiveHeaders(headers: HeaderMap, endStream: boolean): void {
    if (this.#aborted) return;
    this.#headers = headers;
    if (endStream) this.complete = true;
    const status = this.#options.filter.headers(headers, endStream);
    if (this.#aborted) return;
    if (status === "stop") this.#stopped = true;
    else this.#passHeaders(endStream && this.buffered === undefined);
  }

  receiveData(bytes: Uint8Array, endStream: boolean): void {
    if (this.#aborted) return;
    if (endStream) this.complete = true;
    const frame: DataFrame = { bytes, endStream };
    const status = this.#options.filter.data(frame);
    if (this.#aborted) return;
    if (status === "continue") {
      if (!this.#stopped) {
        this.#passData(frame.bytes, endStream);
        return;
      }
      this.#keep(frame.bytes, true);
      this.resume();
      return;
    }
    this.#stopped = true;
    if (status !== "stop_no_buffer") this.#keep(frame.bytes, status === "stop_and_watermark");
    // So that the path has something to end with when it continues.
    else if (this.complete && this.buffered === undefined) this.buffered = new ByteBuffer();
  }

  receiveTrailers(trailers: HeaderMap): void {
    if (this.#aborted) return;
    this.complete = true;
    this.trailers = trailers;
    const status = this.#options.filter.trailers(trailers);
    if (this.#aborted) return;
    if (status === "stop") this.#stopped = true;
    else if (this.#stopped) this.resume();
    else this.#passTrailers();
  }

  /** Continues with everything that was held. */
  resume(): void {
    if (this.#aborted || this.#headers === undefined) return;
    this.#stopped = false;
    const { buffered, trailers } = this;
    this.#passHeaders(this.complete && buffered === undefined && trailers === undefined);
    if (buffered !== undefined) {
      this.buffered = undefined;
      this.#passData(buffered.bytes(), this.complete && trailers === undefined);
      this.#noteBufferLevel();
    }
    if (trailers !== undefined) this.#passTrailers();
  }

  /** Sends data past the filter, the headers before it if they are still there. */
  inject(bytes: Uint8Array, endStream: boolean): void {
    if (this.#aborted) return;
    this.#passHeaders(false);
    const awaitsTrailers = this.#options.trailersAreTheEnd && this.trailers !== undefined;
    this.#passData(bytes, endStream && !awaitsTrailers);
  }

  /** Adds to what is kept, as if the filter had stopped at it. */
  addBuffered(bytes: Uint8Array): void {
    this.#keep(bytes, false);
  }

  /** Empties what is kept; what follows is kept in a new buffer. */
  takeBuffered(): Uint8Array {
    const bytes = this.buffered?.take() ?? NO_BYTES;
    this.#noteBufferLevel();
    return bytes;
  }

  /** The filter asks the source to wait. */
  raiseWatermark(): void {
    this.#watermarks++;
  }

  /** The filter takes back one {@link raiseWatermark}. */
  lowerWatermark(): void {
    this.#watermarks--;
    if (!this.blocked) this.#options.unblocked();
  }

  #keep(bytes: Uint8Array, streaming: boolean): void {
    this.buffered ??= new ByteBuffer();
    this.buffered.push(bytes);
    if (this.buffered.length <= this.#options.bufferLimitBytes) return;
    if (streaming) this.#bufferFull = true;
    else this.#options.tooLarge();
  }

  #noteBufferLevel(): void {
    if (!this.#bufferFull) return;
    this.#bufferFull = (this.buffered?.length ?? 0) > this.#options.bufferLimitBytes / 2;
    if (!this.blocked) this.#options.unblocked();
  }

  #passHeaders(endStream: boolean): void {
    if (this.#headersContinued || this.#headers === undefined) return;
    this.#headersContinued = true;
    if (endStream) this.#ended = true;
    this.#options.end.headers(this.#headers, endStream);
  }

  #passData(bytes: Uint8Array, endStream: boolean): void {
    // What follows the end is ignored: a filter may inject the end before the client's own end comes.
    if (this.#ended || this.#aborted) return;
    if (endStream) this.#ended = true;
    if (bytes.length > 0 || endStream) this.#options.end.data(bytes, endStream);
  }

  #passTrailers(): void {
    if (this.#ended || this.#aborted || this.trailers === undefined) return;
    this.#ended = true;
    this.#options.end.trailers(this.trailers);
  }
}
