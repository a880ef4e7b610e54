import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { FairShare } from "../memory/fair-share.ts";
import type { MemoryShare } from "../memory/memory-share.ts";
import type { ConnectionBuckets, RefusalEvents } from "./connection-context.ts";
import { ConnectionError, type EndReason } from "./end-reason.ts";
import { CANCEL, INTERNAL_ERROR, NO_ERROR } from "./error-codes.ts";
import { ReceiveWindow } from "./flow-control.ts";
import { FrameDispatch } from "./frame-dispatch.ts";
import { FrameReader } from "./frame-reader.ts";
import { MAX_STREAM_ID } from "./frames.ts";
import type { AcceptStream, Http2Peer } from "./http2-stream.ts";
import type { Http2Limits } from "./limits.ts";
import { Sender } from "./sender.ts";
import { readThroughSharedBuffer } from "./shared-read-buffer.ts";
import { Stalls } from "./stalls.ts";
import { StreamTable } from "./stream-table.ts";
import { type ConnectionProgress, Timeouts } from "./timeouts.ts";
import { TokenBucket } from "./token-bucket.ts";
import type { Http2Totals } from "./totals.ts";

const DRAIN_PING = Buffer.from("draining", "latin1");
const KEEP_ALIVE_PING = Buffer.from("keepaliv", "latin1");

/**
 * The frames that are read of one connection until the others have their turn. A body has 64 frames in a megabyte, so it is not
 * slowed; a flood of small frames rests after each read.
 */
const FRAMES_UNTIL_REST = 256;

/** Ends at which the client is gone, or has its GOAWAY already. */
const NEEDS_NO_GOAWAY: ReadonlySet<EndReason> = new Set<EndReason>(["closed_by_peer", "socket_error", "drained"]);

/** How a connection ended. */
export interface ConnectionEnd {
  readonly reason: EndReason;
  /** Error code of RFC 9113 section 7, as in the GOAWAY if one was sent. */
  readonly code: number;
  /** What happened, for logs. */
  readonly message: string;
}

/** The shares of memory that clients make a server hold. Each connection has a fair part of both. */
export interface Http2Memory {
  /** Received bytes that handlers keep (Http2Stream.holdReceived). */
  readonly messages: MemoryShare;
  /** Answers that wait for flow control or for the kernel. */
  readonly answers: MemoryShare;
}

/** What a connection needs. */
export interface Http2ConnectionOptions extends RefusalEvents {
  readonly accept: AcceptStream;
  readonly memory: Http2Memory;
  /** From resolveHttp2Limits. */
  readonly limits: Http2Limits;
  /** Shared by the connections of a server; from createTotals. */
  readonly totals: Http2Totals;
  /** The clock that tick() continues, in milliseconds. It is read at the start, and when the last GOAWAY is sent. */
  readonly now: () => number;
  /** Asks for a tick() after this many milliseconds, for a timeout that must not wait for the next regular tick. */
  readonly tickIn?: ((delayMs: number) => void) | undefined;
  /** Bytes that were already read from the socket, the preface first. */
  readonly head?: Buffer | undefined;
  /** True for a client that is trusted, for example by its certificate: resetsBeforeWork is not counted. Default false. */
  readonly isTrusted?: boolean | undefined;
  /** Position in the range of ±10 % around maxConnectionAgeMs, 0 to 1. Default 0.5. */
  readonly ageJitter?: number | undefined;
  /** Called once, after the socket has closed and all handlers were notified. */
  readonly onClose?: ((end: ConnectionEnd) => void) | undefined;
  /** Called for each exception that application code threw. Its stream was reset. */
  readonly onHandlerError?: ((error: unknown) => void) | undefined;
}

/**
 * The server's side of one HTTP/2 connection (RFC 9113), with prior knowledge or after ALPN, over any Duplex. It reads no
 * clock and owns no timer: its owner calls tick() regularly, see Http2Connections.
 */
export class Http2Connection {
  readonly socket: Duplex;
  readonly #options: Http2ConnectionOptions;
  readonly #sender: Sender;
  readonly #streams: StreamTable;
  readonly #buckets: ConnectionBuckets;
  readonly #dispatch: FrameDispatch;
  readonly #reader: FrameReader;
  readonly #timeouts: Timeouts;
  readonly #stalls: Stalls;
  #receivedBytes = 0;
  #framesAtRest = 0;
  #isSettingsAcked = false;
  #lastTickMs: number;
  /** The states after "open": the first GOAWAY was sent; the last GOAWAY was sent; the connection is over. */
  #state: "open" | "draining" | "last streams" | "ended" = "open";
  #drainingSinceMs = 0;
  #end: ConnectionEnd | undefined;
  #endedSinceMs: number | undefined;
  #flushedSinceMs: number | undefined;
  #isClosed = false;

  constructor(socket: Duplex, options: Http2ConnectionOptions) {
    const { limits, totals, accept, memory } = options;
    const messages = new FairShare(memory.messages);
    const answers = new FairShare(memory.answers);
    this.socket = socket;
    this.#options = options;
    const nowMs = options.now();
    this.#lastTickMs = nowMs;
    this.#timeouts = new Timeouts(limits, nowMs, options.ageJitter ?? 0.5);
    const receiveWindow = new ReceiveWindow(limits.connectionWindowBytes);
    const reportHandlerError = (error: unknown) => {
      totals.handlerErrors++;
      options.onHandlerError?.(error);
    };
    const onStreamClosed = () => this.#endIfDrained();
    const sender = new Sender(socket, limits, answers);
    this.#sender = sender;
    this.#streams = new StreamTable({ limits, totals, sender, receiveWindow, reportHandlerError, onStreamClosed });
    this.#buckets = createBuckets(limits);
    const isTrusted = options.isTrusted ?? false;
    const peer = peerOf(socket);
    const shared = { limits, totals, sender, streams: this.#streams, buckets: this.#buckets, isTrusted, peer, accept };
    const { tooLargeFields, onHeadersTooLarge, onMalformedRequest, onStreamShed } = options;
    const endConnection = (error: ConnectionError) => this.#endWith(error);
    const context = {
      ...shared,
      messages,
      answers,
      onStreamShed,
      endConnection,
      tooLargeFields,
      onHeadersTooLarge,
      onMalformedRequest,
      reportHandlerError,
    };
    this.#dispatch = new FrameDispatch(context, receiveWindow, {
      onSettingsAck: () => {
        this.#isSettingsAcked = true;
        this.#streams.onSettingsAck();
      },
      onPingAck: (bytes, start) => this.#onPingAck(bytes, start),
    });
    this.#stalls = new Stalls(context);
    this.#reader = new FrameReader(this.#dispatch, limits.maxFrameBytes);
    totals.connectionsOpened++;
    totals.connections++;
    this.#attach(options.head);
  }

  /** The number of open streams. */
  get openStreams(): number {
    return this.#streams.size;
  }

  /** True before the first stream. Envoy opens a connection for a stream, so connections of Envoy soon have one. */
  get isUnused(): boolean {
    return this.#streams.lastId === 0;
  }

  /**
   * Accepts no new streams, and closes the connection when the open ones are done (RFC 9113 section 6.8). It sends a
   * GOAWAY with the highest identifier and a PING, so that streams on their way still count, then a GOAWAY with the
   * real identifier.
   */
  drain(): void {
    if (this.#state !== "open") return;
    this.#state = "draining";
    this.#drainingSinceMs = this.#options.now();
    this.#sender.goaway(MAX_STREAM_ID, NO_ERROR, "");
    this.#ping(DRAIN_PING);
  }

  /** Ends the connection now. Open streams are cut off, but what was already written is still sent. */
  close(): void {
    this.#endWith({ reason: "closed_by_application", code: NO_ERROR, message: "closed by the application" });
  }

  /** Destroys the socket now. */
  destroy(): void {
    this.close();
    this.socket.destroy();
  }

  /** Checks the timeouts and refills buckets. `nowMs` never goes backwards. */
  tick(nowMs: number): void {
    const elapsedMs = nowMs - this.#lastTickMs;
    this.#lastTickMs = nowMs;
    if (this.#state === "ended") {
      this.#checkEnded(nowMs);
      return;
    }
    const { controlFrames, emptyFrames, resetsBeforeWork, streamErrors } = this.#buckets;
    for (const bucket of [controlFrames, emptyFrames, resetsBeforeWork, streamErrors]) bucket.refill(elapsedMs);
    const { drainPingTimeoutMs } = this.#options.limits;
    if (this.#state === "draining" && nowMs - this.#drainingSinceMs >= drainPingTimeoutMs) this.#announceLastStream();
    this.#sender.giveBack();
    this.#stalls.check(nowMs);
    const due = this.#timeouts.check(this.#progress(), nowMs);
    if (due?.kind === "end") this.#endWith(due);
    else if (due?.kind === "drain") this.drain();
    else if (due?.kind === "ping") this.#ping(KEEP_ALIVE_PING);
    this.#tickAtGrace(nowMs);
  }

  /** Asks for a tick when the grace period ends. The grace period can be shorter than the time between two ticks. */
  #tickAtGrace(nowMs: number): void {
    if (this.#state !== "last streams") return;
    const leftMs = this.#timeouts.graceEndMs - nowMs;
    if (leftMs > 0 && leftMs < this.#options.limits.tickIntervalMs) this.#options.tickIn?.(leftMs);
  }

  #attach(head: Buffer | undefined): void {
    const { socket } = this;
    if (socket instanceof Socket) socket.setNoDelay(true);
    this.#sender.preface(this.#options.limits);
    // The frames of a turn leave together, so nothing is sent before the head has been read.
    if (head !== undefined) this.#onChunk(head);
    const onChunk = (chunk: Buffer) => this.#onChunk(chunk);
    if (socket instanceof Socket) readThroughSharedBuffer(socket, onChunk);
    // Data that the socket has already read. If the socket cannot use the shared buffer, all data comes here.
    socket.on("data", onChunk);
    socket.on("drain", () => this.#sender.onDrain());
    socket.on("error", (error) => this.#onSocketError(error));
    socket.on("end", () => this.#onSocketEnd());
    socket.on("close", () => this.#onSocketClose());
    if (socket.destroyed) process.nextTick(() => this.#onSocketClose());
  }

  #onChunk(chunk: Buffer): void {
    if (this.#state === "ended") return;
    this.#receivedBytes += chunk.length;
    this.#sender.enterTurn();
    try {
      this.#reader.read(chunk);
    } catch (error) {
      this.#fail(error);
    }
    this.#sender.leaveTurn();
    if (this.#reader.framesRead - this.#framesAtRest >= FRAMES_UNTIL_REST) this.#rest();
  }

  /**
   * Lets the other connections have their turn. Without it a socket that is never empty is read up to 32 times in a row, and
   * tens of thousands of small streams keep all others waiting.
   */
  #rest(): void {
    if (this.#state === "ended") return;
    this.#framesAtRest = this.#reader.framesRead;
    this.socket.pause();
    setImmediate(() => {
      if (!this.#sender.isReadingPaused) this.socket.resume();
    });
  }

  /** A connection error (section 5.4.1). */
  #fail(error: unknown): void {
    if (error instanceof ConnectionError) this.#endWith(error);
    else this.#endWith({ reason: "internal_error", code: INTERNAL_ERROR, message: String(error) });
  }

  /**
   * Sends the last GOAWAY, then ends. The client has closeTimeoutMs to read it; what the client still sends is ignored.
   */
  #endWith(end: ConnectionEnd): void {
    if (this.#state === "ended") return;
    if (!NEEDS_NO_GOAWAY.has(end.reason)) {
      this.#sender.goaway(this.#streams.lastId, end.code, end.code === NO_ERROR ? "" : end.reason);
    }
    this.#state = "ended";
    this.#end = { reason: end.reason, code: end.code, message: end.message };
    this.#options.totals.connectionsEnded[end.reason]++;
    this.#reader.stop();
    this.#streams.closeAll(CANCEL);
    this.#sender.flush();
    this.#sender.stop();
    this.socket.end();
    this.socket.resume();
  }

  #ping(payload: Buffer): void {
    this.#options.totals.pingsSent++;
    this.#sender.ping(payload);
  }

  #onPingAck(bytes: Buffer, start: number): void {
    const isDrainPing = bytes.compare(DRAIN_PING, 0, DRAIN_PING.length, start, start + DRAIN_PING.length) === 0;
    if (isDrainPing && this.#state === "draining") this.#announceLastStream();
  }

  #announceLastStream(): void {
    this.#state = "last streams";
    this.#streams.maxAcceptedId = this.#streams.lastId;
    this.#sender.goaway(this.#streams.lastId, NO_ERROR, "");
    const nowMs = this.#options.now();
    this.#timeouts.lastGoawaySent(nowMs);
    this.#tickAtGrace(nowMs);
    this.#endIfDrained();
  }

  #endIfDrained(): void {
    if (this.#state !== "last streams" || this.#streams.size > 0) return;
    this.#endWith({ reason: "drained", code: NO_ERROR, message: "drained" });
  }

  #onSocketEnd(): void {
    this.#endWith({ reason: "closed_by_peer", code: NO_ERROR, message: "closed by the client" });
    this.socket.end();
  }

  #onSocketError(error: Error): void {
    const code = "code" in error ? error.code : undefined;
    const isHangUp = code === "ECONNRESET" || code === "EPIPE";
    this.#endWith({ reason: isHangUp ? "closed_by_peer" : "socket_error", code: CANCEL, message: error.message });
  }

  #onSocketClose(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#endWith({ reason: "closed_by_peer", code: CANCEL, message: "the socket has closed" });
    this.#sender.release();
    this.#options.totals.connections--;
    if (this.#end !== undefined) this.#options.onClose?.(this.#end);
  }

  #checkEnded(nowMs: number): void {
    const { closeTimeoutMs, writeStallTimeoutMs } = this.#options.limits;
    this.#endedSinceMs ??= nowMs;
    // The last answers of a connection that ends normally may take as long as any others.
    const isFlushing = this.#end?.code === NO_ERROR && this.#sender.pendingBytes > 0;
    const isStalled = writeStallTimeoutMs > 0 && nowMs - this.#endedSinceMs >= writeStallTimeoutMs;
    if (!isFlushing || isStalled) this.#flushedSinceMs ??= nowMs;
    if (this.#flushedSinceMs === undefined || nowMs - this.#flushedSinceMs < closeTimeoutMs) return;
    this.socket.destroy();
    // Some Duplex streams do not report that they have closed.
    this.#onSocketClose();
  }

  #progress(): ConnectionProgress {
    return {
      hasSettings: this.#dispatch.hasSettings,
      isSettingsAcked: this.#isSettingsAcked,
      receivedBytes: this.#receivedBytes,
      framesRead: this.#reader.framesRead,
      position: this.#reader.position,
      headerBlocks: this.#dispatch.headerBlocks,
      takenBytes: this.#sender.takenBytes,
      pendingBytes: this.#sender.pendingBytes,
      isReadingPaused: this.#sender.isReadingPaused,
      openStreams: this.#streams.size,
      lastStreamId: this.#streams.lastId,
    };
  }
}

function createBuckets(limits: Http2Limits): ConnectionBuckets {
  return {
    controlFrames: new TokenBucket(limits.controlFrames),
    emptyFrames: new TokenBucket(limits.emptyFrames),
    resetsBeforeWork: new TokenBucket(limits.resetsBeforeWork),
    streamErrors: new TokenBucket(limits.streamErrors),
  };
}

function peerOf(socket: Duplex): Http2Peer {
  if (!(socket instanceof Socket) || socket.remoteAddress === undefined) return { address: "" };
  const { remoteAddress, remotePort } = socket;
  return { address: `${remoteAddress.includes(":") ? `[${remoteAddress}]` : remoteAddress}:${remotePort}` };
}
