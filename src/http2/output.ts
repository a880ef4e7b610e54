import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { FRAME_HEADER_BYTES, writeUint32 } from "./frames.ts";

/**
 * Size of the buffers that gather frames. One socket write has at most this many bytes, unless it has a second part.
 */
const BUFFER_BYTES = 64 * 1024;
/** A buffer that the socket still reads from is filled until this many bytes are left. */
const USEFUL_REST_BYTES = 4 * 1024;
const MAX_SPARE_BUFFERS = 16;
const NO_BUFFER = Buffer.alloc(0);

// Module state: buffers that all connections share. 10,000 idle connections with their own would take 640 MiB.
const spareBuffers: Buffer[] = [];

/** Writes `length` bytes into `target`, beginning at `offset`. It writes at once, and nothing outside of that range. */
export type FillFrame = (target: Uint8Array, offset: number) => void;

/** Type and flags of a frame as one number, so that module constants can have it. */
export function frameKind(type: number, flags: number): number {
  return (type << 8) | flags;
}

/**
 * Gathers the frames of one turn of the event loop. flush() passes them to the socket in one write. The buffer itself
 * is never passed out, because any frame may replace it.
 */
export class Output {
  /** The number of bytes that were passed to the socket since the connection began. */
  flushedBytes = 0;
  readonly #socket: Duplex;
  /**
   * True for net and tls sockets: they have sent, or encrypted, every byte that they no longer count as buffered. Any
   * other Duplex can keep a chunk for any time, and gets a copy.
   */
  readonly #releasesChunks: boolean;
  #buffer: Buffer = NO_BUFFER;
  #start = 0;
  #at = 0;
  #parts: Uint8Array[] = [];
  #partBytes = 0;

  constructor(socket: Duplex) {
    this.#socket = socket;
    this.#releasesChunks = socket instanceof Socket;
  }

  /** The number of bytes that the kernel has not taken yet. */
  get pendingBytes(): number {
    return this.#at - this.#start + this.#partBytes + this.#socket.writableLength;
  }

  /** Adds a frame with a copied payload. */
  frame(kind: number, streamId: number, payload: Uint8Array): void {
    const at = this.#header(kind, streamId, payload.length);
    this.#buffer.set(payload, at);
  }

  /** Adds a frame without payload. */
  emptyFrame(kind: number, streamId: number): void {
    this.#header(kind, streamId, 0);
  }

  /** Adds a frame whose payload is one 32 bit number. */
  uint32Frame(kind: number, streamId: number, value: number): void {
    const at = this.#header(kind, streamId, 4);
    writeUint32(this.#buffer, at, value);
  }

  /**
   * Begins a frame whose payload `fill` writes. If it throws, zeros are sent, because the buffer has data of other
   * streams.
   */
  filledFrame(kind: number, { streamId, length }: { streamId: number; length: number }, fill: FillFrame): void {
    const at = this.#header(kind, streamId, length);
    const buffer = this.#buffer;
    try {
      fill(buffer, at);
    } catch (error) {
      buffer.fill(0, at, at + length);
      throw error;
    }
  }

  /**
   * Adds a frame whose payload is passed on without a copy. The payload must not change before the socket has taken it.
   */
  referencingFrame(kind: number, streamId: number, payload: Uint8Array): void {
    const at = this.#header(kind, streamId, 0) - FRAME_HEADER_BYTES;
    writeLength(this.#buffer, at, payload.length);
    this.#cut();
    this.#parts.push(payload);
    this.#partBytes += payload.length;
  }

  /** Passes everything to the socket. */
  flush(): void {
    if (this.#socket.destroyed) {
      this.discard();
      return;
    }
    if (this.#at > this.#start || this.#parts.length > 0) this.#write();
    // A Duplex can answer inside write(), which gathers and flushes again.
    if (this.#at > this.#start || this.#parts.length > 0) return;
    if (this.#socket.writableLength === 0 || !this.#releasesChunks) this.#releaseBuffer();
    else if (this.#buffer.length - this.#at < USEFUL_REST_BYTES) this.#abandonBuffer();
  }

  /** Drops what has not been passed to the socket. */
  discard(): void {
    this.#parts = [];
    this.#partBytes = 0;
    this.#abandonBuffer();
  }

  #write(): void {
    const socket = this.#socket;
    if (this.#parts.length === 0) {
      const chunk = this.#buffer.subarray(this.#start, this.#at);
      this.#start = this.#at;
      this.flushedBytes += chunk.length;
      socket.write(this.#own(chunk));
      return;
    }
    this.#cut();
    const parts = this.#parts;
    this.flushedBytes += this.#partBytes;
    this.#parts = [];
    this.#partBytes = 0;
    socket.cork();
    for (const part of parts) socket.write(this.#own(part));
    socket.uncork();
  }

  #own(chunk: Uint8Array): Uint8Array {
    return this.#releasesChunks ? chunk : Buffer.from(chunk);
  }

  /** Makes room for a frame and writes its header. Returns the offset of its payload in the current buffer. */
  #header(kind: number, streamId: number, length: number): number {
    if (this.#buffer.length - this.#at < FRAME_HEADER_BYTES + length) this.#nextBuffer(FRAME_HEADER_BYTES + length);
    const buffer = this.#buffer;
    const at = this.#at;
    writeLength(buffer, at, length);
    buffer[at + 3] = kind >>> 8;
    buffer[at + 4] = kind;
    writeUint32(buffer, at + 5, streamId);
    this.#at = at + FRAME_HEADER_BYTES + length;
    return at + FRAME_HEADER_BYTES;
  }

  /** Makes the gathered bytes a part, without a copy. */
  #cut(): void {
    if (this.#at === this.#start) return;
    this.#parts.push(this.#buffer.subarray(this.#start, this.#at));
    this.#partBytes += this.#at - this.#start;
    this.#start = this.#at;
  }

  #nextBuffer(leastBytes: number): void {
    this.#cut();
    this.#buffer =
      leastBytes > BUFFER_BYTES
        ? Buffer.allocUnsafeSlow(leastBytes)
        : (spareBuffers.pop() ?? Buffer.allocUnsafeSlow(BUFFER_BYTES));
    this.#start = 0;
    this.#at = 0;
  }

  #releaseBuffer(): void {
    if (this.#buffer.length === BUFFER_BYTES && spareBuffers.length < MAX_SPARE_BUFFERS)
      spareBuffers.push(this.#buffer);
    this.#abandonBuffer();
  }

  #abandonBuffer(): void {
    this.#buffer = NO_BUFFER;
    this.#start = 0;
    this.#at = 0;
  }
}

function writeLength(buffer: Buffer, at: number, length: number): void {
  buffer[at] = length >>> 16;
  buffer[at + 1] = length >>> 8;
  buffer[at + 2] = length;
}
