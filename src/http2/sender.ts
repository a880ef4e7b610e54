import type { Duplex } from "node:stream";
import type { FairShare } from "../memory/fair-share.ts";
import { DEFAULT_WINDOW_BYTES, SendWindow } from "./flow-control.ts";
import {
  ACK,
  CONTINUATION,
  DATA,
  END_HEADERS,
  END_STREAM,
  GOAWAY,
  HEADERS,
  PING,
  RST_STREAM,
  SETTINGS,
  WINDOW_UPDATE,
  writeUint32,
} from "./frames.ts";
import { TABLE_SIZE_ZERO } from "./hpack-encoder.ts";
import type { Http2Limits } from "./limits.ts";
import { type FillFrame, frameKind, Output } from "./output.ts";
import type { ServerStream } from "./server-stream.ts";
import { encodeSettings } from "./settings.ts";

const DATA_FRAME = frameKind(DATA, 0);
const LAST_DATA_FRAME = frameKind(DATA, END_STREAM);
const HEADERS_FRAME = frameKind(HEADERS, END_HEADERS);
const LAST_HEADERS_FRAME = frameKind(HEADERS, END_HEADERS | END_STREAM);
const RST_STREAM_FRAME = frameKind(RST_STREAM, 0);
const WINDOW_UPDATE_FRAME = frameKind(WINDOW_UPDATE, 0);
const PING_FRAME = frameKind(PING, 0);
const PING_ACK_FRAME = frameKind(PING, ACK);
const SETTINGS_FRAME = frameKind(SETTINGS, 0);
const SETTINGS_ACK_FRAME = frameKind(SETTINGS, ACK);
const GOAWAY_FRAME = frameKind(GOAWAY, 0);

/** SETTINGS_MAX_FRAME_SIZE before the client's SETTINGS arrive: the smallest value that is allowed. */
const DEFAULT_FRAME_BYTES = 16_384;
/** Larger frames would only make other streams wait. */
const MAX_SENT_FRAME_BYTES = 64 * 1024;
/** SETTINGS_HEADER_TABLE_SIZE before the client's SETTINGS arrive. */
const DEFAULT_TABLE_BYTES = 4096;
/** Above this size a copy costs more than another part of the socket's write. */
const REFERENCE_FROM_BYTES = 8 * 1024;
/** Bytes that wait for the kernel count as waiting answers above the first value, in steps of the second. */
const UNCOUNTED_BYTES = 32 * 1024;
const COUNTED_STEP_BYTES = 32 * 1024;

/**
 * Sends the frames of a connection, within the client's windows. Streams with DATA take turns, frame by frame. Header
 * and control frames overtake DATA, but not the bytes that the socket already has.
 */
export class Sender {
  /** The connection's send window (RFC 9113 section 6.9). */
  readonly window = new SendWindow(DEFAULT_WINDOW_BYTES);
  /** The largest DATA payload to send. */
  maxDataBytes = DEFAULT_FRAME_BYTES;
  /** Send window of new streams. */
  initialWindowBytes = DEFAULT_WINDOW_BYTES;
  readonly #socket: Duplex;
  readonly #output: Output;
  readonly #answers: FairShare;
  /** The numbers of bytes that can wait for the kernel: without counting, now, and at most. */
  readonly #lowWaterBytes: number;
  #waterBytes: number;
  readonly #highWaterBytes: number;
  /** Streams with DATA and window, in the order of their turns. */
  readonly #ready = new Set<ServerStream>();
  #maxHeaderBytes = DEFAULT_FRAME_BYTES;
  #tableSize: "any" | "zero is due" | "zero" = "any";
  #pumping = false;
  #inTurn = false;
  #flushScheduled = false;
  #pumpScheduled = false;
  #readingPaused = false;
  #isStopped = false;

  constructor(socket: Duplex, limits: Http2Limits, answers: FairShare) {
    this.#socket = socket;
    this.#output = new Output(socket);
    this.#answers = answers;
    // Above the socket's own mark a drain event is certain to come.
    this.#highWaterBytes = Math.max(limits.outputHighWaterBytes, socket.writableHighWaterMark);
    this.#lowWaterBytes = Math.min(Math.max(UNCOUNTED_BYTES, socket.writableHighWaterMark), this.#highWaterBytes);
    this.#waterBytes = this.#lowWaterBytes;
  }

  /**
   * Returns false if more bytes wait for the socket than outputHighWaterBytes, or than there is room for. Then no DATA
   * is sent.
   */
  takesMore(): boolean {
    const { pendingBytes } = this.#output;
    return pendingBytes <= this.#waterBytes || this.#raiseTo(pendingBytes);
  }

  /** Bytes that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#output.pendingBytes;
  }

  /** Bytes that the kernel has taken. */
  get takenBytes(): number {
    return this.#output.flushedBytes - this.#socket.writableLength;
  }

  /**
   * True while the client does not read. Then the server does not read from the client either, because header frames
   * have no flow control.
   */
  get isReadingPaused(): boolean {
    return this.#readingPaused;
  }

  /** Begins a turn. Frames are gathered until leaveTurn() sends them. */
  enterTurn(): void {
    this.#inTurn = true;
  }

  leaveTurn(): void {
    this.#inTurn = false;
    this.flush();
  }

  /** Sends the server's connection preface (RFC 9113 section 3.4). */
  preface(limits: Http2Limits): void {
    this.#scheduleFlush();
    this.#output.frame(SETTINGS_FRAME, 0, encodeSettings(limits));
    const extraBytes = limits.connectionWindowBytes - DEFAULT_WINDOW_BYTES;
    if (extraBytes > 0) this.windowUpdate(0, extraBytes);
  }

  /** Sends a header block as HEADERS and as many CONTINUATION frames as it needs (sections 6.2 and 6.10). */
  headers(streamId: number, block: Uint8Array, endStream: boolean): void {
    this.#scheduleFlush();
    const bytes = this.#tableSize === "zero is due" ? this.#withTableSize(block) : block;
    const max = this.#maxHeaderBytes;
    if (bytes.length <= max) {
      this.#output.frame(endStream ? LAST_HEADERS_FRAME : HEADERS_FRAME, streamId, bytes);
      return;
    }
    this.#output.frame(frameKind(HEADERS, endStream ? END_STREAM : 0), streamId, bytes.subarray(0, max));
    for (let at = max; at < bytes.length; at += max) {
      const flags = at + max >= bytes.length ? END_HEADERS : 0;
      this.#output.frame(frameKind(CONTINUATION, flags), streamId, bytes.subarray(at, at + max));
    }
  }

  /** Sends DATA within both windows, which the caller has checked. Large payloads are not copied. */
  data(stream: ServerStream, payload: Uint8Array, endStream: boolean): void {
    this.#spend(stream, payload.length);
    const kind = endStream ? LAST_DATA_FRAME : DATA_FRAME;
    if (payload.length >= REFERENCE_FROM_BYTES) this.#output.referencingFrame(kind, stream.id, payload);
    else this.#output.frame(kind, stream.id, payload);
  }

  /** Sends a part of something larger, like data(). Nothing may refer to the larger thing afterwards. */
  copiedData(stream: ServerStream, payload: Uint8Array, endStream: boolean): void {
    this.#spend(stream, payload.length);
    this.#output.frame(endStream ? LAST_DATA_FRAME : DATA_FRAME, stream.id, payload);
  }

  /** Sends a payload that `fill` writes, like data(). */
  filledData(stream: ServerStream, length: number, fill: FillFrame): void {
    this.#spend(stream, length);
    this.#output.filledFrame(DATA_FRAME, { streamId: stream.id, length }, fill);
  }

  /** Sends END_STREAM without data, which needs no window. */
  endOfData(streamId: number): void {
    this.#scheduleFlush();
    this.#output.emptyFrame(LAST_DATA_FRAME, streamId);
  }

  rstStream(streamId: number, code: number): void {
    this.#scheduleFlush();
    this.#output.uint32Frame(RST_STREAM_FRAME, streamId, code);
  }

  windowUpdate(streamId: number, bytes: number): void {
    this.#scheduleFlush();
    this.#output.uint32Frame(WINDOW_UPDATE_FRAME, streamId, bytes);
  }

  settingsAck(): void {
    this.#scheduleFlush();
    this.#output.emptyFrame(SETTINGS_ACK_FRAME, 0);
  }

  ping(payload: Uint8Array): void {
    this.#scheduleFlush();
    this.#output.frame(PING_FRAME, 0, payload);
  }

  pingAck(payload: Uint8Array): void {
    this.#scheduleFlush();
    this.#output.frame(PING_ACK_FRAME, 0, payload);
  }

  /** Sends GOAWAY (section 6.8). `debug` says what happened, for people on the client's side. */
  goaway(lastStreamId: number, code: number, debug: string): void {
    this.#scheduleFlush();
    const payload = Buffer.alloc(8 + debug.length);
    writeUint32(payload, 0, lastStreamId);
    writeUint32(payload, 4, code);
    payload.write(debug, 8, "latin1");
    this.#output.frame(GOAWAY_FRAME, 0, payload);
  }

  /** Sets the client's SETTINGS_MAX_FRAME_SIZE. */
  setClientMaxFrameBytes(bytes: number): void {
    this.#maxHeaderBytes = bytes;
    this.maxDataBytes = Math.min(bytes, MAX_SENT_FRAME_BYTES);
  }

  /**
   * Sets the client's SETTINGS_HEADER_TABLE_SIZE. A smaller table must be acknowledged in the next block (RFC 7541
   * 4.2).
   */
  setClientTableBytes(bytes: number): void {
    if (bytes < DEFAULT_TABLE_BYTES && this.#tableSize === "any") this.#tableSize = "zero is due";
  }

  /** Gives a turn to a stream that has DATA and window. */
  addReady(stream: ServerStream): void {
    this.#ready.add(stream);
  }

  removeReady(stream: ServerStream): void {
    if (this.#ready.size > 0) this.#ready.delete(stream);
  }

  /** Sends what windows and socket allow, one frame of each stream in turn. */
  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    for (const stream of this.#ready) {
      if (this.window.availableBytes <= 0 || !this.takesMore()) break;
      // The stream gets another turn after the others, if it has more.
      this.#ready.delete(stream);
      stream.sendQueuedFrame();
    }
    this.#pumping = false;
  }

  /** The socket has taken what it had. */
  onDrain(): void {
    this.enterTurn();
    this.pump();
    this.leaveTurn();
  }

  /**
   * Passes what has been gathered to the socket, and decides from the socket's state whether to read and to send DATA.
   */
  flush(): void {
    if (this.#isStopped) {
      this.#output.discard();
      return;
    }
    this.#output.flush();
    this.giveBack();
    const isCongested = !this.takesMore();
    if (isCongested !== this.#readingPaused) {
      this.#readingPaused = isCongested;
      if (isCongested) this.#socket.pause();
      else this.#socket.resume();
    }
    // The socket took all bytes and did not set writableNeedDrain, so no drain event will come.
    if (this.#ready.size > 0 && !this.#socket.writableNeedDrain && this.window.availableBytes > 0) this.#schedulePump();
  }

  /** Sends nothing more, because the socket will be ended. */
  stop(): void {
    this.#isStopped = true;
    this.#ready.clear();
    this.#output.discard();
  }

  /** Stops counting bytes that the kernel has taken. */
  giveBack(): void {
    if (this.#waterBytes > this.#lowWaterBytes && this.#output.pendingBytes <= this.#lowWaterBytes) this.release();
  }

  /** Stops counting all bytes: the socket has closed or has taken everything. */
  release(): void {
    this.#answers.give(this.#waterBytes - this.#lowWaterBytes);
    this.#waterBytes = this.#lowWaterBytes;
  }

  /**
   * Makes room for this number of bytes in the memory account. Returns false if they do not fit, or if they are above
   * the high-water mark.
   */
  #raiseTo(bytes: number): boolean {
    while (this.#waterBytes < bytes) {
      const step = Math.min(COUNTED_STEP_BYTES, this.#highWaterBytes - this.#waterBytes);
      if (step === 0 || !this.#answers.take(step)) return false;
      this.#waterBytes += step;
    }
    return true;
  }

  #spend(stream: ServerStream, bytes: number): void {
    this.#scheduleFlush();
    this.window.availableBytes -= bytes;
    stream.sendWindow.availableBytes -= bytes;
  }

  #withTableSize(block: Uint8Array): Uint8Array {
    this.#tableSize = "zero";
    return Buffer.concat([Buffer.of(TABLE_SIZE_ZERO), block]);
  }

  #scheduleFlush(): void {
    if (this.#inTurn || this.#flushScheduled) return;
    this.#flushScheduled = true;
    process.nextTick(() => {
      this.#flushScheduled = false;
      this.flush();
    });
  }

  #schedulePump(): void {
    if (this.#pumpScheduled) return;
    this.#pumpScheduled = true;
    setImmediate(() => {
      this.#pumpScheduled = false;
      this.onDrain();
    });
  }
}
