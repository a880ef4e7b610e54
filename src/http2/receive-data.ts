import { chargeControlFrame, failStream } from "./client-faults.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import { ENHANCE_YOUR_CALM, FLOW_CONTROL_ERROR, PROTOCOL_ERROR, STREAM_CLOSED } from "./error-codes.ts";
import type { ReceiveWindow } from "./flow-control.ts";
import { END_STREAM, type Frame } from "./frames.ts";
import type { ServerStream } from "./server-stream.ts";

/**
 * Reads DATA (RFC 9113 section 6.1) and counts it in both receive windows (section 5.2). Every byte is counted, and is
 * given back to the connection, whatever happened to its stream.
 */
export class DataReceiver {
  readonly #context: ConnectionContext;
  readonly #window: ReceiveWindow;
  /** The stream of the frame that is being read; undefined if its bytes are dropped. */
  #stream: ServerStream | undefined;
  #endsStream = false;

  constructor(context: ConnectionContext, window: ReceiveWindow) {
    this.#context = context;
    this.#window = window;
  }

  /** A frame begins. */
  start(frame: Frame, paddingBytes: number): void {
    const { streams, buckets } = this.#context;
    this.#stream = undefined;
    if (frame.streamId === 0) throw new ConnectionError(PROTOCOL_ERROR, "invalid_frame", "DATA on stream 0");
    if (!this.#window.take(frame.length)) {
      throw new ConnectionError(FLOW_CONTROL_ERROR, "flow_control_violation", "more DATA than the connection's window");
    }
    this.#endsStream = (frame.flags & END_STREAM) !== 0;
    if (frame.length === paddingBytes && !this.#endsStream && !buckets.emptyFrames.take()) {
      throw new ConnectionError(ENHANCE_YOUR_CALM, "empty_frame_flood", "too many DATA frames without data");
    }
    if (paddingBytes > 0) streams.credit(paddingBytes);
    const stream = streams.get(frame.streamId);
    if (stream === undefined) this.#stray(frame.streamId);
    else this.#startOn(stream, frame.length, paddingBytes);
  }

  /** The next bytes of the frame. */
  data(bytes: Buffer, start: number, end: number): void {
    this.#context.streams.credit(end - start);
    const stream = this.#stream;
    if (stream !== undefined && !stream.isClosed) stream.receiveData(bytes, start, end);
  }

  /** The frame is complete. */
  end(): void {
    const stream = this.#stream;
    this.#stream = undefined;
    if (this.#endsStream && stream !== undefined && !stream.isClosed) stream.receiveEnd(undefined);
  }

  #startOn(stream: ServerStream, length: number, paddingBytes: number): void {
    if (stream.isRemoteClosed) {
      failStream(this.#context, stream, STREAM_CLOSED);
      return;
    }
    if (!stream.receiveWindow.take(length)) {
      failStream(this.#context, stream, FLOW_CONTROL_ERROR);
      return;
    }
    if (stream.contentLeft >= 0) {
      // RFC 9113 section 8.1.1: content-length must match the body.
      stream.contentLeft -= length - paddingBytes;
      if (stream.contentLeft < 0 || (this.#endsStream && stream.contentLeft > 0)) {
        failStream(this.#context, stream, PROTOCOL_ERROR);
        return;
      }
    }
    if (paddingBytes > 0) stream.credit(paddingBytes);
    this.#stream = stream;
  }

  /** Handles DATA on a stream that is not open (section 5.1). */
  #stray(streamId: number): void {
    const { streams } = this.#context;
    const state = streams.closedState(streamId);
    if (state === "reset" || streamId > streams.maxAcceptedId) return;
    if (state === "idle") {
      throw new ConnectionError(PROTOCOL_ERROR, "invalid_stream_state", "DATA on an idle stream");
    }
    chargeControlFrame(this.#context);
    streams.refuse(streamId, STREAM_CLOSED);
  }
}
