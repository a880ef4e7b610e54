import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import type { FairShare } from "../../memory/fair-share.ts";

const NOTHING = Buffer.alloc(0);

/** Options of {@link PacedSocket}. */
export interface PacedSocketOptions {
  readonly turns: RequestTurns;
  /** Counts answers that wait for the kernel. A connection whose answers do not fit is closed. */
  readonly answers: FairShare;
  /**
   * Counts received bytes that wait for the response to an earlier request. A connection whose bytes do not fit is
   * closed.
   */
  readonly messages: FairShare;
  /** Called for each request that arrived during another request of its connection. */
  readonly onDelayed: () => void;
}

/**
 * A connection for node:http that passes on the bytes of one request at a time. The bytes of the next request follow
 * when the response is complete, and the connection is not read meanwhile. Without this, node:http parses all bytes of
 * one read at once and calls the handler for each request in them, which can be thousands.
 */
export class PacedSocket extends Duplex {
  readonly #socket: Socket;
  readonly #options: PacedSocketOptions;
  /** Received bytes that were not passed on yet. */
  #rest: Buffer = NOTHING;
  /**
   * The memory that `#rest` keeps, which includes the whole reads that it is a part of, and how much of it is counted.
   */
  #restBytes = 0;
  #countedBytes = 0;
  /** The current request. */
  #request: IncomingMessage | undefined;
  /** Bytes of its body that have not come yet, if it has a `content-length`. */
  #bodyLeft = 0;
  #isAnswered = false;
  #isDelayCounted = false;
  /** True: node:http waits for bytes. */
  #isWanted = false;
  /** True: this connection waits for a turn. */
  #isInLine = false;
  #hasEnded = false;

  constructor(socket: Socket, options: PacedSocketOptions) {
    super({ allowHalfOpen: true, decodeStrings: false, readableHighWaterMark: 1 });
    this.#socket = socket;
    this.#options = options;
    // node:http gets `close` if the connection breaks.
    this.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("end", () => {
      this.#hasEnded = true;
      this.#advance();
    });
    socket.on("timeout", () => this.emit("timeout"));
    socket.on("close", () => this.destroy());
  }

  /** The underlying connection. */
  get connection(): Socket {
    return this.#socket;
  }

  /** True if the connection uses TLS; node:http needs it for the scheme of a URL. */
  get encrypted(): boolean {
    return "encrypted" in this.#socket;
  }

  get remoteAddress(): string | undefined {
    return this.#socket.remoteAddress;
  }

  get remotePort(): number | undefined {
    return this.#socket.remotePort;
  }

  /** Called when node:http has parsed the head of a request from the bytes that were passed on last. */
  begin(request: IncomingMessage): void {
    const { "content-length": length, "transfer-encoding": coding } = request.headers;
    this.#request = request;
    this.#bodyLeft = coding === undefined && length !== undefined ? Number(length) : 0;
    this.#isAnswered = false;
    this.#isDelayCounted = false;
  }

  /** Called when the response to the current request is complete. */
  answered(): void {
    this.#isAnswered = true;
    this.#advance();
  }

  /** As in net.Socket; node:http sets its timeouts with this method. */
  setTimeout(timeoutMs: number, onTimeout?: () => void): this {
    this.#socket.setTimeout(timeoutMs);
    if (onTimeout) this.once("timeout", onTimeout);
    return this;
  }

  /** As in net.Socket: sends what has been written, then closes. */
  destroySoon(): void {
    if (this.writable) this.end();
    if (this.writableFinished) this.destroy();
    else this.once("finish", () => this.destroy());
  }

  override resume(): this {
    super.resume();
    // Not in this call, because a caller of resume() does not expect bytes before it returns.
    process.nextTick(() => this.#advance());
    return this;
  }

  override _read(): void {
    this.#isWanted = true;
    // Bytes that are pushed in _read() are kept for later, and the next bytes would be cut too early.
    process.nextTick(() => this.#advance());
  }

  override _write(chunk: Buffer | string, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    const sent = this.#count(Buffer.byteLength(chunk, encoding), callback);
    if (sent !== undefined) this.#socket.write(chunk, encoding, sent);
  }

  override _writev(
    chunks: { readonly chunk: Buffer | string; readonly encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    const bytes = chunks.reduce((sum, { chunk, encoding }) => sum + Buffer.byteLength(chunk, encoding), 0);
    const sent = this.#count(bytes, callback);
    if (sent === undefined) return;
    this.#socket.cork();
    for (const [at, { chunk, encoding }] of chunks.entries()) {
      if (at < chunks.length - 1) this.#socket.write(chunk, encoding);
      else this.#socket.write(chunk, encoding, sent);
    }
    this.#socket.uncork();
  }

  override _final(callback: (error?: Error | null) => void): void {
    this.#socket.end(() => callback());
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    this.#forgetRest();
    this.#socket.destroy();
    callback(error);
  }

  /**
   * Counts bytes until the kernel has taken them. Returns undefined if they do not fit: then the connection is closed.
   */
  #count(bytes: number, callback: (error?: Error | null) => void): ((error?: Error | null) => void) | undefined {
    if (!this.#options.answers.take(bytes)) {
      callback(new Error("the answer exceeds the memory for answers"));
      return undefined;
    }
    return (error) => {
      this.#options.answers.give(bytes);
      callback(error);
    };
  }

  #receive(chunk: Buffer): void {
    this.#rest = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    this.#restBytes += chunk.length;
    this.#advance();
    // The rest that is not passed on at once stays below the size of one read.
    if (this.#rest.length > 0) this.#socket.pause();
  }

  /** Counts the bytes that wait for a response. If they do not fit, the connection is closed. */
  #countRest(): void {
    const bytes = this.#restBytes - this.#countedBytes;
    if (bytes === 0) return;
    if (this.#options.messages.take(bytes)) this.#countedBytes += bytes;
    else this.destroy();
  }

  #forgetRest(): void {
    this.#rest = NOTHING;
    this.#restBytes = 0;
    if (this.#countedBytes > 0) this.#options.messages.give(this.#countedBytes);
    this.#countedBytes = 0;
  }

  /** Passes on all bytes that can be passed on now. If it has to wait, the awaited event calls this again. */
  #advance(): void {
    if (this.destroyed || this.#isInLine) return;
    if (this.#rest.length === 0) {
      if (this.#hasEnded) this.push(null);
      else this.#socket.resume();
      return;
    }
    if (this.#isHeld()) {
      this.#countRest();
      return;
    }
    if (!this.#isWanted || this.readableFlowing !== true) return;
    if (this.#options.turns.take()) {
      this.#pass();
      return;
    }
    this.#isInLine = true;
    this.#options.turns.wait(() => {
      this.#isInLine = false;
      // The socket may have been paused meanwhile.
      if (!this.destroyed && this.#isWanted && this.readableFlowing === true) this.#pass();
    });
  }

  /** True if the next byte belongs to another request, and the current one has no response yet. */
  #isHeld(): boolean {
    if (this.#request === undefined || !this.#request.complete) return false;
    if (this.#isAnswered) {
      this.#request = undefined;
      return false;
    }
    if (!this.#isDelayCounted) this.#options.onDelayed();
    this.#isDelayCounted = true;
    return true;
  }

  /** Passes on bytes of at most one request. node:http parses them at once. */
  #pass(): void {
    const length = this.#bodyLeft > 0 ? Math.min(this.#bodyLeft, this.#rest.length) : headBytes(this.#rest);
    const bytes = this.#rest.subarray(0, length);
    if (length === this.#rest.length) this.#forgetRest();
    else this.#rest = this.#rest.subarray(length);
    if (this.#bodyLeft > 0) this.#bodyLeft -= length;
    this.#isWanted = false;
    this.push(bytes);
  }
}

/**
 * How many bytes can be passed on so that they include at most one end of a head or of a chunked body. Both end with an
 * empty line (RFC 9112 sections 2.1 and 7.1), and node:http accepts no line that ends without CR.
 */
function headBytes(bytes: Buffer): number {
  const at = bytes.indexOf("\n\r\n");
  return at < 0 ? bytes.length : at + 3;
}

/**
 * Lets one request of all HTTP/1.1 connections begin in each iteration of the event loop. Node reads the other
 * connections between two iterations, so a stream of Envoy waits for only one such request, however many have arrived.
 *
 * One object serves all listeners of the process, because they share the thread.
 */
export class RequestTurns {
  readonly #waiting: (() => void)[] = [];
  /** True: the turn of this iteration is taken. */
  #isTaken = false;

  /** Takes the turn of this iteration. Returns false if it is taken, or if others wait for a turn. */
  take(): boolean {
    if (this.#isTaken) return false;
    this.#isTaken = true;
    setImmediate(() => this.#nextIteration());
    return true;
  }

  /**
   * Calls `turn` in a later iteration, after the callers that already wait. Call this only after take() has returned
   * false.
   */
  wait(turn: () => void): void {
    this.#waiting.push(turn);
  }

  #nextIteration(): void {
    this.#isTaken = false;
    const turn = this.#waiting.shift();
    if (turn === undefined) return;
    this.take();
    turn();
  }
}
