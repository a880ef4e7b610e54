import { shedStream } from "./client-faults.ts";
import type { ConnectionContext } from "./connection-context.ts";
import { ConnectionError } from "./end-reason.ts";
import { CANCEL, ENHANCE_YOUR_CALM, INTERNAL_ERROR, NO_ERROR } from "./error-codes.ts";
import { ReceiveWindow, SendWindow } from "./flow-control.ts";
import type { HeaderList } from "./header-list.ts";
import { encodeHeaderBlock, type FieldSection } from "./hpack-encoder.ts";
import type { Http2Peer, Http2Stream, StreamHandler } from "./http2-stream.ts";
import type { FillFrame } from "./output.ts";
import { SendQueue } from "./send-queue.ts";

/** The handler of a stream that is being opened: it does nothing. */
const NO_HANDLER: StreamHandler = { onData() {}, onEnd() {}, onReset() {} };

/** A stream (RFC 9113 section 5.1). Only the connection uses the members that Http2Stream does not have. */
export class ServerStream implements Http2Stream {
  readonly id: number;
  readonly sendWindow: SendWindow;
  readonly receiveWindow: ReceiveWindow;
  handler: StreamHandler = NO_HANDLER;
  /** Bytes of content-length still to come; -1 when it is not known. */
  contentLeft: number;
  /** The client has sent END_STREAM. */
  isRemoteClosed = false;
  isClosed = false;
  isWorkedOn = false;
  /** The number of hold() calls whose release was not called. */
  holds = 0;
  queuedBytes = 0;
  /** Received bytes that the handler holds, see holdReceived. */
  heldBytes = 0;
  /** True if DATA has come, or has been sent out of the queue, since Stalls checked last. */
  hasReceived = false;
  hasSent = false;
  readonly #context: ConnectionContext;
  #hasResponded = false;
  /** Created for the first DATA that must wait. */
  #queue: SendQueue | undefined;
  /** The argument of end() while DATA waits: trailers, or null. */
  #ending: Uint8Array | null | undefined;
  #receivesRest = false;
  #isLocalClosed = false;
  #isPaused = false;
  #withheldBytes = 0;
  #awaitsWritable = false;

  constructor(context: ConnectionContext, id: number, headers: HeaderList) {
    this.#context = context;
    this.id = id;
    this.contentLeft = headers.contentLength;
    this.sendWindow = new SendWindow(context.sender.initialWindowBytes);
    this.receiveWindow = new ReceiveWindow(context.limits.streamWindowBytes);
  }

  get peer(): Http2Peer {
    return this.#context.peer;
  }

  respond(headers: Uint8Array | FieldSection, endStream = false): void {
    if (this.#hasResponded) throw new TypeError("the headers of this response have been sent already");
    const block = encoded(headers);
    if (this.isClosed) return;
    this.#hasResponded = true;
    this.isWorkedOn = true;
    this.#context.sender.headers(this.id, block, endStream);
    if (endStream) this.#endLocal();
  }

  inform(headers: Uint8Array | FieldSection): void {
    if (this.#hasResponded) throw new TypeError("the final response has begun already");
    const block = encoded(headers);
    if (!this.isClosed) this.#context.sender.headers(this.id, block, false);
  }

  write(bytes: Uint8Array): boolean {
    if (!this.#mayWrite() || bytes.length === 0) return true;
    if (this.#fitsNow(bytes.length)) {
      this.#context.sender.data(this, bytes, false);
      return true;
    }
    return this.#hasRoomFor(bytes.length) ? this.#enqueue(bytes) : true;
  }

  writeFrame(length: number, fill: FillFrame): boolean {
    if (!this.#mayWrite() || length === 0) return true;
    if (!this.#fitsNow(length)) return this.#hasRoomFor(length) ? this.#enqueue(filled(length, fill)) : true;
    try {
      this.#context.sender.filledData(this, length, fill);
    } catch (error) {
      // The frame is already in the output, without its bytes.
      this.reset(INTERNAL_ERROR);
      throw error;
    }
    return true;
  }

  end(trailers?: Uint8Array | FieldSection): void {
    const block = trailers === undefined ? null : encoded(trailers);
    if (!this.#mayWrite()) return;
    this.#ending = block;
    if (this.queuedBytes === 0) this.#finish(block);
  }

  reset(code = CANCEL): void {
    if (!this.isClosed) this.#context.streams.resetSilently(this, code);
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#giveBackWithheld();
  }

  holdReceived(bytes: number): boolean {
    if (this.isClosed) return true;
    if (!this.#context.messages.take(bytes)) return false;
    this.heldBytes += bytes;
    return true;
  }

  releaseReceived(bytes: number): void {
    if (this.isClosed || bytes === 0) return;
    this.heldBytes -= bytes;
    this.#context.messages.give(bytes);
  }

  receiveRest(): void {
    this.#receivesRest = true;
  }

  beginWork(): void {
    this.isWorkedOn = true;
  }

  chargeReset(): void {
    const { totals, buckets, isTrusted, endConnection } = this.#context;
    totals.streamErrors++;
    if (isTrusted || buckets.resetsBeforeWork.take()) return;
    const message = "too many streams that broke the application's protocol or had no time";
    endConnection(new ConnectionError(ENHANCE_YOUR_CALM, "reset_flood", message));
  }

  hold(): () => void {
    let isHeld = true;
    // Most handlers learn in onReset that they outlive their stream.
    if (this.isClosed && this.holds === 0) this.#context.streams.addHeld();
    this.holds++;
    return () => {
      if (!isHeld) return;
      isHeld = false;
      this.holds--;
      if (this.isClosed && this.holds === 0) this.#context.streams.releaseHeld();
    };
  }

  /** True if the client has sent half a message and can send the rest, because its window is refilled. */
  get awaitsRest(): boolean {
    return !this.isRemoteClosed && !this.#withholds && this.handler.isMidMessage?.() === true;
  }

  /**
   * Passes received bytes to the handler. Both windows already count them. The window is refilled unless it is
   * withheld.
   */
  receiveData(bytes: Buffer, start: number, end: number): void {
    this.hasReceived = true;
    try {
      this.handler.onData(bytes, start, end);
    } catch (error) {
      this.fail(error);
    }
    this.credit(end - start);
  }

  /** Gives received bytes back to the client's view of this stream's window. */
  credit(bytes: number): void {
    if (this.isClosed || this.isRemoteClosed) return;
    if (this.#withholds) {
      this.#withheldBytes += bytes;
      return;
    }
    const back = this.receiveWindow.consume(bytes);
    if (back > 0) this.#context.sender.windowUpdate(this.id, back);
  }

  /** The client has ended its side. */
  receiveEnd(trailers: HeaderList | undefined): void {
    this.isRemoteClosed = true;
    try {
      this.handler.onEnd(trailers);
    } catch (error) {
      this.fail(error);
    }
    if (this.#isLocalClosed) this.#context.streams.end(this);
  }

  /** The handler threw. */
  fail(error: unknown): void {
    this.#context.reportHandlerError(error);
    if (!this.isClosed) this.#context.streams.reset(this, INTERNAL_ERROR);
  }

  /** The send window has grown: DATA that waits for it takes its turn again. */
  onWindowGrown(): void {
    if (this.queuedBytes > 0 && this.sendWindow.availableBytes > 0) this.#context.sender.addReady(this);
  }

  /** Sends one DATA frame of what waits. The connection's window is open. Called when it is this stream's turn. */
  sendQueuedFrame(): void {
    const { sender, limits } = this.#context;
    const queue = this.#queue;
    if (queue === undefined) return;
    const length = Math.min(
      queue.firstBytes,
      sender.maxDataBytes,
      this.sendWindow.availableBytes,
      sender.window.availableBytes,
    );
    if (length <= 0) return;
    const { isLarge } = queue;
    const payload = queue.take(length);
    this.queuedBytes -= length;
    this.hasSent = true;
    const isLast = this.queuedBytes === 0 && this.#ending === null;
    if (isLarge) sender.copiedData(this, payload, isLast);
    else sender.data(this, payload, isLast);
    if (isLast) this.#endLocal();
    else if (this.queuedBytes > 0) this.onWindowGrown();
    else if (this.#ending !== undefined) this.#finish(this.#ending);
    if (this.queuedBytes * 2 <= limits.streamQueueHighWaterBytes) this.#onDrained();
  }

  /** The stream is over, whichever side ended it. Waiting DATA is dropped, and the methods do nothing any more. */
  close(): void {
    this.isClosed = true;
    this.handler = NO_HANDLER;
    if (this.queuedBytes > 0) this.#dropQueue();
    if (this.heldBytes > 0) this.#context.messages.give(this.heldBytes);
    this.heldBytes = 0;
  }

  /** Returns false if the stream or its response is over. */
  #mayWrite(): boolean {
    if (this.isClosed || this.#ending !== undefined) return false;
    if (!this.#hasResponded) throw new TypeError("the response has no headers yet: call respond() first");
    return true;
  }

  /** True if one frame of this length can be sent at once, and nothing waits before it. */
  #fitsNow(length: number): boolean {
    const { sender } = this.#context;
    return (
      this.queuedBytes === 0 &&
      length <= this.sendWindow.availableBytes &&
      length <= sender.window.availableBytes &&
      length <= sender.maxDataBytes &&
      sender.takesMore()
    );
  }

  /** True while the window is not refilled, because the handler is slow or the client does not read. */
  get #withholds(): boolean {
    return this.#isPaused || this.queuedBytes > this.#context.limits.streamQueueHighWaterBytes;
  }

  /** True if there is room for bytes that must wait; if not, the stream is reset. */
  #hasRoomFor(bytes: number): boolean {
    if (this.#context.answers.hasRoomFor(bytes)) return true;
    this.#shed();
    return false;
  }

  /** Queues bytes. The caller has checked that there is room. */
  #enqueue(bytes: Uint8Array): boolean {
    this.#queue ??= new SendQueue(this.#context.answers);
    this.#queue.push(bytes);
    this.queuedBytes += bytes.length;
    this.onWindowGrown();
    this.#context.sender.pump();
    const isFull = this.queuedBytes > this.#context.limits.streamQueueHighWaterBytes;
    if (isFull) this.#awaitsWritable = true;
    return !isFull;
  }

  #dropQueue(): void {
    this.#context.sender.removeReady(this);
    this.#queue?.clear();
    this.queuedBytes = 0;
  }

  /** Stops sending: the memory for answers is full. The handler is notified after its current call. */
  #shed(): void {
    if (this.queuedBytes > 0) this.#dropQueue();
    this.#ending = null;
    process.nextTick(() => {
      if (!this.isClosed) shedStream(this.#context, this, "answer_memory");
    });
  }

  #onDrained(): void {
    this.#giveBackWithheld();
    if (!this.#awaitsWritable || this.isClosed) return;
    this.#awaitsWritable = false;
    try {
      this.handler.onWritable?.();
    } catch (error) {
      this.fail(error);
    }
  }

  #giveBackWithheld(): void {
    const bytes = this.#withheldBytes;
    if (bytes === 0) return;
    this.#withheldBytes = 0;
    this.credit(bytes);
  }

  #finish(trailers: Uint8Array | null): void {
    if (trailers === null) this.#context.sender.endOfData(this.id);
    else this.#context.sender.headers(this.id, trailers, true);
    this.#endLocal();
  }

  /** Ends the server's side. A response can be complete before the request is (RFC 9113 section 8.1). */
  #endLocal(): void {
    this.#isLocalClosed = true;
    if (this.isRemoteClosed) this.#context.streams.end(this);
    else if (this.#receivesRest) this.#ending = null;
    else this.#context.streams.resetSilently(this, NO_ERROR);
  }
}

function filled(length: number, fill: FillFrame): Uint8Array {
  // Zeros would be written first otherwise, and `fill` writes every byte.
  const bytes = Buffer.allocUnsafeSlow(length);
  fill(bytes, 0);
  return bytes;
}

function encoded(headers: Uint8Array | FieldSection): Uint8Array {
  return headers instanceof Uint8Array ? headers : encodeHeaderBlock(headers);
}
