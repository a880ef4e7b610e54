import { ConnectionError } from "./end-reason.ts";
import { FRAME_SIZE_ERROR, PROTOCOL_ERROR } from "./error-codes.ts";
import { DATA, FRAME_HEADER_BYTES, type Frame, PADDED, PREFACE, readUint31 } from "./frames.ts";

/** Receives the frames. If it throws a ConnectionError, the reading ends. */
export interface FrameSink {
  /** A whole frame of any type except DATA. */
  onFrame(frame: Frame): void;
  /** A DATA frame begins. `frame` has its fields but no payload; `paddingBytes` of the payload are padding. */
  onDataStart(frame: Frame, paddingBytes: number): void;
  /** The next bytes of the DATA frame, which can come in many parts. */
  onData(bytes: Buffer, start: number, end: number): void;
  /** The DATA frame is complete. */
  onDataEnd(): void;
}

/** The part of the input at which the reader is. */
export type ReaderPosition = "preface" | "between frames" | "inside a frame" | "inside DATA";

/**
 * Cuts what a client sends into its preface and frames (RFC 9113 sections 3.4 and 4.1), without copying. Only a frame
 * that is split between two reads is copied. DATA without padding is passed on as it arrives.
 */
export class FrameReader {
  /** The number of frames whose last byte has been read. */
  framesRead = 0;
  readonly #sink: FrameSink;
  readonly #maxFrameBytes: number;
  readonly #frame: Frame = { type: 0, flags: 0, streamId: 0, length: 0, bytes: PREFACE, start: 0, end: 0 };
  #prefaceLeft = PREFACE.length;
  #dataLeft = 0;
  /** A frame that is split between two reads: its header, later all of it. */
  #partial: Buffer | undefined;
  #partialBytes = 0;
  #stopped = false;

  constructor(sink: FrameSink, maxFrameBytes: number) {
    this.#sink = sink;
    this.#maxFrameBytes = maxFrameBytes;
  }

  get position(): ReaderPosition {
    if (this.#prefaceLeft > 0) return "preface";
    if (this.#dataLeft > 0) return "inside DATA";
    return this.#partial === undefined ? "between frames" : "inside a frame";
  }

  /** Stops reading: nothing more is passed on, not even from the bytes that are being read. */
  stop(): void {
    this.#stopped = true;
    this.#partial = undefined;
  }

  /**
   * Reads bytes.
   *
   * @throws ConnectionError, after which nothing more may be read.
   */
  read(chunk: Buffer): void {
    if (this.#stopped) return;
    let at = this.#prefaceLeft > 0 ? this.#readPreface(chunk) : 0;
    if (this.#dataLeft > 0) at = this.#passData(chunk, at);
    else if (this.#partial !== undefined) at = this.#completePartial(this.#partial, chunk, at);
    const { length: end } = chunk;
    while (end - at >= FRAME_HEADER_BYTES && !this.#stopped) {
      const length = this.#readHeader(chunk, at);
      const start = at + FRAME_HEADER_BYTES;
      if (this.#passesThrough()) {
        at = this.#startData(chunk, start);
      } else if (end - start >= length) {
        at = start + length;
        this.#dispatch(chunk, start, at);
      } else {
        break;
      }
    }
    if (at < end && !this.#stopped) this.#startPartial(chunk, at);
    // Between two turns nothing may keep the socket's read buffer alive.
    this.#frame.bytes = PREFACE;
  }

  #readPreface(chunk: Buffer): number {
    const count = Math.min(this.#prefaceLeft, chunk.length);
    const from = PREFACE.length - this.#prefaceLeft;
    if (PREFACE.compare(chunk, 0, count, from, from + count) !== 0) {
      throw new ConnectionError(
        PROTOCOL_ERROR,
        "invalid_preface",
        "the connection does not begin with HTTP/2's preface",
      );
    }
    this.#prefaceLeft -= count;
    return count;
  }

  /** Fills in all fields of the frame except its payload. Returns the payload's length. */
  #readHeader(bytes: Buffer, at: number): number {
    const frame = this.#frame;
    const length = ((bytes[at] ?? 0) << 16) | ((bytes[at + 1] ?? 0) << 8) | (bytes[at + 2] ?? 0);
    if (length > this.#maxFrameBytes) {
      throw new ConnectionError(FRAME_SIZE_ERROR, "invalid_frame_size", `a frame of ${length} bytes`);
    }
    frame.length = length;
    frame.type = bytes[at + 3] ?? 0;
    frame.flags = bytes[at + 4] ?? 0;
    frame.streamId = readUint31(bytes, at + 5);
    return length;
  }

  /** True for DATA without padding, which is passed on as it arrives. */
  #passesThrough(): boolean {
    return this.#frame.type === DATA && (this.#frame.flags & PADDED) === 0;
  }

  #startData(chunk: Buffer, at: number): number {
    this.#sink.onDataStart(this.#frame, 0);
    this.#dataLeft = this.#frame.length;
    if (this.#dataLeft > 0) return this.#passData(chunk, at);
    this.#endData();
    return at;
  }

  #passData(chunk: Buffer, at: number): number {
    const count = Math.min(this.#dataLeft, chunk.length - at);
    if (count === 0) return at;
    this.#dataLeft -= count;
    this.#sink.onData(chunk, at, at + count);
    if (this.#dataLeft === 0) this.#endData();
    return at + count;
  }

  #endData(): void {
    this.framesRead++;
    if (!this.#stopped) this.#sink.onDataEnd();
  }

  #startPartial(chunk: Buffer, at: number): void {
    const headerKnown = chunk.length - at >= FRAME_HEADER_BYTES;
    this.#partial = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + (headerKnown ? this.#frame.length : 0));
    this.#partialBytes = chunk.copy(this.#partial, 0, at);
  }

  #completePartial(partial: Buffer, chunk: Buffer, from: number): number {
    let at = this.#fill(partial, chunk, from);
    if (this.#partialBytes < partial.length) return at;
    let whole = partial;
    if (whole.length === FRAME_HEADER_BYTES) {
      const length = this.#readHeader(partial, 0);
      if (this.#passesThrough()) {
        this.#partial = undefined;
        return this.#startData(chunk, at);
      }
      whole = Buffer.allocUnsafeSlow(FRAME_HEADER_BYTES + length);
      partial.copy(whole);
      this.#partial = whole;
      at = this.#fill(whole, chunk, at);
      if (this.#partialBytes < whole.length) return at;
    }
    this.#partial = undefined;
    this.#dispatch(whole, FRAME_HEADER_BYTES, whole.length);
    return at;
  }

  #fill(partial: Buffer, chunk: Buffer, at: number): number {
    const count = Math.min(chunk.length - at, partial.length - this.#partialBytes);
    chunk.copy(partial, this.#partialBytes, at, at + count);
    this.#partialBytes += count;
    return at + count;
  }

  #dispatch(bytes: Buffer, start: number, end: number): void {
    const frame = this.#frame;
    frame.bytes = bytes;
    frame.start = start;
    frame.end = end;
    if (frame.type === DATA) {
      this.#dispatchPaddedData();
      return;
    }
    this.framesRead++;
    this.#sink.onFrame(frame);
  }

  /** RFC 9113 section 6.1: a pad length, data, padding. */
  #dispatchPaddedData(): void {
    const { bytes, start, length } = this.#frame;
    const paddingBytes = stripPadding(this.#frame);
    this.#sink.onDataStart(this.#frame, paddingBytes);
    if (paddingBytes < length) this.#sink.onData(bytes, start + 1, start + 1 + length - paddingBytes);
    this.#endData();
  }
}

/**
 * Removes the pad length and the padding of a DATA or HEADERS frame with the PADDED flag. Returns the number of removed
 * bytes.
 *
 * @throws ConnectionError if the padding is longer than the frame (RFC 9113 sections 6.1 and 6.2).
 */
export function stripPadding(frame: Frame): number {
  if (frame.start === frame.end) throw new ConnectionError(FRAME_SIZE_ERROR, "invalid_frame_size", "no pad length");
  const padding = frame.bytes[frame.start] ?? 0;
  frame.start++;
  frame.end -= padding;
  if (frame.end < frame.start) {
    throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "padding exceeds the frame");
  }
  return padding + 1;
}
