import { ByteBuffer, NO_BYTES } from "./byte-buffer.ts";
import type { HeaderMap } from "./header-map.ts";

/** A piece of a body that the filter handles. If the filter returns `continue`, the value of `bytes` is passed on. */
export interface DataFrame {
  bytes: Uint8Array;
  readonly endStream: boolean;
}

/** The filter's result for a piece of a body, by the names of Envoy's `FilterDataStatus`. */
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
  /** If true, and if trailers came, data that a filter injects never ends the HTTP message. True for requests. */
  readonly trailersAreTheEnd: boolean;
  /** Called if a filter that wants the whole body buffered more than the limit allows. */
  readonly tooLarge: () => void;
  /** Called when the path accepts data again. */
  readonly unblocked: () => void;
}

/**
 * One direction of Envoy's filter chain, around a single filter. It stops if the filter says so, keeps what the filter
 * wants to keep, and continues when the filter allows it. Headers always continue before data, and data before
 * trailers.
 */
export class FilterPath {
  /** True after the end of the HTTP message has arrived. */
  complete = false;
  /** The data that was kept for a filter that has stopped the path; undefined if no data was kept. */
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

  /** True while the source must wait because it sent more than can be kept. */
  get blocked(): boolean {
    return this.#watermarks > 0 || this.#bufferFull;
  }

  /** True after the headers left the filter. */
  get headersContinued(): boolean {
    return this.#headersContinued;
  }

  /** Ends the path for a local reply or a reset: nothing moves on it any more. */
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
    // An empty buffer, so that the path can end the body when it continues.
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

  /** Sends data past the filter. If the headers are still held, they are sent before it. */
  inject(bytes: Uint8Array, endStream: boolean): void {
    if (this.#aborted) return;
    this.#passHeaders(false);
    const awaitsTrailers = this.#options.trailersAreTheEnd && this.trailers !== undefined;
    this.#passData(bytes, endStream && !awaitsTrailers);
  }

  /** Adds to the kept data, as if the filter had stopped at these bytes. */
  addBuffered(bytes: Uint8Array): void {
    this.#keep(bytes, false);
  }

  /** Removes and returns the kept data. Later data is kept in a new buffer. */
  takeBuffered(): Uint8Array {
    const bytes = this.buffered?.take() ?? NO_BYTES;
    this.#noteBufferLevel();
    return bytes;
  }

  /** Makes the source wait, because the filter asks for it. */
  raiseWatermark(): void {
    this.#watermarks++;
  }

  /** Reverts one {@link raiseWatermark}. */
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
    // Data after the end is ignored: a filter can inject the end before the client's own end comes.
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
