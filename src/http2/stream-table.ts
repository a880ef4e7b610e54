import { type ClosedState, ClosedStreams } from "./closed-streams.ts";
import type { ReceiveWindow } from "./flow-control.ts";
import { MAX_STREAM_ID } from "./frames.ts";
import type { StreamHandler } from "./http2-stream.ts";
import type { Http2Limits } from "./limits.ts";
import type { Sender } from "./sender.ts";
import type { ServerStream } from "./server-stream.ts";
import { StreamIndex } from "./stream-index.ts";
import type { Http2Totals } from "./totals.ts";

/** What the table needs from its connection. */
export interface StreamTableOptions {
  readonly limits: Http2Limits;
  readonly totals: Http2Totals;
  readonly sender: Sender;
  readonly receiveWindow: ReceiveWindow;
  readonly reportHandlerError: (error: unknown) => void;
  /** Called when a stream has closed. */
  readonly onStreamClosed: () => void;
}

/** The streams of a connection, and how they close (RFC 9113 sections 5.1, 5.1.1 and 5.1.2). */
export class StreamTable {
  /** The highest stream identifier the client has used. */
  lastId = 0;
  /** Streams above this identifier are ignored, as the last GOAWAY announced. */
  maxAcceptedId = MAX_STREAM_ID;
  readonly #options: StreamTableOptions;
  readonly #open = new StreamIndex();
  readonly #closed = new ClosedStreams();
  #held = 0;
  #maxStreams: number;

  constructor(options: StreamTableOptions) {
    this.#options = options;
    this.#maxStreams = Math.max(options.limits.maxConcurrentStreams, options.limits.maxEarlyStreams);
  }

  /** The client has acknowledged the server's SETTINGS, so maxEarlyStreams no longer applies. */
  onSettingsAck(): void {
    this.#maxStreams = this.#options.limits.maxConcurrentStreams;
  }

  /** Streams that are open. */
  get size(): number {
    return this.#open.size;
  }

  /**
   * True if no more streams are allowed. Open streams count, and also handlers that have outlived their stream if the
   * server has too many of those.
   */
  get isFull(): boolean {
    const { limits, totals } = this.#options;
    const held = totals.streamsHeld > limits.uncountedHolds ? this.#held : 0;
    return this.#open.size + held >= this.#maxStreams;
  }

  get(id: number): ServerStream | undefined {
    return this.#open.get(id);
  }

  /** The state of a stream that is not open. Identifiers above lastId are idle. */
  closedState(id: number): ClosedState {
    return id > this.lastId ? "idle" : this.#closed.stateOf(id);
  }

  /** Returns the streams that are open now. */
  values(): readonly ServerStream[] {
    return this.#open.toArray();
  }

  add(stream: ServerStream): void {
    this.#open.add(stream);
    this.#options.totals.streamsOpened++;
    this.#options.totals.streams++;
  }

  /** Both sides have ended the stream. */
  end(stream: ServerStream): void {
    if (stream.isClosed) return;
    this.#closed.addEnded(stream.id);
    this.#remove(stream);
  }

  /** The client has reset the stream. */
  resetByClient(stream: ServerStream, code: number): void {
    this.#closed.addEnded(stream.id);
    this.#notify(this.#remove(stream), code);
  }

  /** Resets the stream, and notifies its handler. */
  reset(stream: ServerStream, code: number): void {
    this.refuse(stream.id, code);
    this.#notify(this.#remove(stream), code);
  }

  /** Resets the stream because its handler asked for it, or has finished. */
  resetSilently(stream: ServerStream, code: number): void {
    this.refuse(stream.id, code);
    this.#remove(stream);
  }

  /** Resets a stream that is not open. */
  refuse(id: number, code: number): void {
    this.#closed.addReset(id);
    this.#options.sender.rstStream(id, code);
  }

  /** A stream was answered without ever being opened, and the client has ended its side. */
  answered(id: number): void {
    this.#closed.addEnded(id);
  }

  /** The connection is gone. */
  closeAll(code: number): void {
    for (const stream of this.#open.toArray()) {
      // A handler can reset other streams.
      if (stream.isClosed) continue;
      this.#notify(this.#remove(stream), code);
    }
  }

  /** A stream is over, and its handler is not. */
  addHeld(): void {
    this.#held++;
    this.#options.totals.streamsHeld++;
  }

  /** The handler of a stream that is over has ended. */
  releaseHeld(): void {
    this.#held--;
    this.#options.totals.streamsHeld--;
  }

  /** Gives received bytes back to the connection's window at once, because a slow stream must not stop the others. */
  credit(bytes: number): void {
    const back = this.#options.receiveWindow.consume(bytes);
    if (back > 0) this.#options.sender.windowUpdate(0, back);
  }

  /**
   * Removes the handler from the stream and returns it. Code that still has the stream must not keep the handler's data
   * in memory.
   */
  #remove(stream: ServerStream): StreamHandler {
    const { handler } = stream;
    stream.close();
    this.#open.delete(stream.id);
    this.#options.totals.streams--;
    if (stream.holds > 0) this.addHeld();
    this.#options.onStreamClosed();
    return handler;
  }

  #notify(handler: StreamHandler, code: number): void {
    try {
      handler.onReset(code);
    } catch (error) {
      this.#options.reportHandlerError(error);
    }
  }
}
