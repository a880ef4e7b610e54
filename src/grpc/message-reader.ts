import { readUint32 } from "../http2/frames.ts";
import { GRPC_PREFIX_BYTES } from "../protocol/grpc-framing.ts";
import { messageMemory, recycleMessage, unfinishedMemory } from "../wire/message-memory.ts";
import { OversizedMessage } from "./oversized-message.ts";

/** Counts the bytes of messages that are not complete yet. An Http2Stream implements it. */
export interface ReceivedBytes {
  /** False if there is no room for so many more bytes: they are not counted then. */
  holdReceived(bytes: number): boolean;
  releaseReceived(bytes: number): void;
}

/** Takes what a {@link MessageReader} finds. */
export interface MessageSink {
  /** One message. The bytes belong to the sink. It returns true to give them back, if it keeps no part of them. */
  onMessage(message: Uint8Array): boolean;
  /**
   * A message that carries a body and was not kept: the message without the body's bytes. `length` is its own length.
   * `problem` is `too_large` for one above the limit, and `no_room` if unfinished messages have no memory left.
   */
  onOversized(message: Uint8Array, length: number, problem: "too_large" | "no_room"): void;
  /** The rest of the stream cannot be read; no more calls follow. */
  onUnreadable(problem: FramingProblem): void;
}

/** Why a stream of gRPC messages cannot be read. */
export type FramingProblem =
  /** The compressed flag is set. */
  | { readonly kind: "compressed" }
  /** The first byte of a frame is neither 0 nor 1. */
  | { readonly kind: "bad_flag"; readonly flag: number }
  /**
   * A message above the limit, or one that unfinished messages leave no memory for. `tag` is its first byte, which says
   * which member it has.
   */
  | { readonly kind: "too_large" | "no_room"; readonly length: number; readonly tag: number };

/** Instead of a length: the message is above the limit. */
const OVERSIZED = -1;
/**
 * The most memory that a message gets with its first bytes, and how many times the bytes that have come: an announced length
 * alone allocates no memory. A message with a chunk of 64 KiB fits after the first frame of 16 KiB, so it is not copied a
 * second time.
 */
const FIRST_ALLOCATION_BYTES = 72 * 1024;
const FIRST_ALLOCATION_FACTOR = 8;
/** What a stream may keep of an unfinished message without counting: as little as the stream itself costs. */
const UNCOUNTED_BYTES = 2 * 1024;

const NOTHING = new Uint8Array(0);
/** For readers that need not count, such as a client's. */
const UNCOUNTED: ReceivedBytes = { holdReceived: () => true, releaseReceived: () => undefined };

/**
 * Cuts a body into gRPC messages (gRPC over HTTP/2, "Length-Prefixed-Message"), wherever its pieces are cut. Each
 * message is copied once: out of the socket's buffer, so that buffer is free at the end of the turn.
 */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #maxMessageBytes: number;
  readonly #room: ReceivedBytes;
  /** Made for the first prefix that is cut in two. */
  #prefix: Uint8Array | undefined;
  #prefixHave = 0;
  /** A message that is not complete yet. */
  #message: Uint8Array<ArrayBuffer> | undefined;
  #messageHave = 0;
  #messageLength = 0;
  /** A message that is not kept, and why. */
  #oversized: OversizedMessage | undefined;
  #oversizedFor: "too_large" | "no_room" = "too_large";
  #stopped = false;

  /** @param room Counts what is kept of unfinished messages. Default: nothing is counted. */
  constructor(sink: MessageSink, maxMessageBytes: number, room: ReceivedBytes = UNCOUNTED) {
    this.#sink = sink;
    this.#maxMessageBytes = maxMessageBytes;
    this.#room = room;
  }

  /** True between two messages. A body may end only there. */
  get idle(): boolean {
    return this.#message === undefined && this.#prefixHave === 0 && this.#oversized === undefined;
  }

  /** Drops what is left, and everything that still comes. */
  stop(): void {
    this.#stopped = true;
    if (this.#message !== undefined) this.#drop(this.#message);
    this.#oversized?.release();
    this.#oversized = undefined;
  }

  /** Takes the next piece of the body, `source` from `start` to `end`. */
  read(source: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && !this.#stopped) {
      if (this.#message !== undefined) at = this.#fill(source, at, end);
      else if (this.#oversized !== undefined) at = this.#skim(this.#oversized, source, at, end);
      else if (this.#prefixHave > 0 || end - at < GRPC_PREFIX_BYTES) at = this.#readPrefix(source, at, end);
      else at = this.#begin(source, at, end);
    }
  }

  /** Reads a prefix that is complete in this piece, and its message if that is complete too. */
  #begin(source: Uint8Array, prefixAt: number, end: number): number {
    const length = this.#lengthAt(source, prefixAt);
    if (length === undefined) return end;
    const at = prefixAt + GRPC_PREFIX_BYTES;
    if (length === OVERSIZED) return at;
    if (end - at < length) {
      this.#open(length);
      return at;
    }
    const message = messageMemory(length);
    message.set(part(source, at, length));
    this.#pass(message);
    return at + length;
  }

  #readPrefix(source: Uint8Array, at: number, end: number): number {
    const taken = Math.min(GRPC_PREFIX_BYTES - this.#prefixHave, end - at);
    this.#prefix ??= new Uint8Array(GRPC_PREFIX_BYTES);
    this.#prefix.set(part(source, at, taken), this.#prefixHave);
    this.#prefixHave += taken;
    if (this.#prefixHave < GRPC_PREFIX_BYTES) return at + taken;
    this.#prefixHave = 0;
    const length = this.#lengthAt(this.#prefix, 0);
    if (length === undefined) return end;
    if (length === OVERSIZED) return at + taken;
    if (length === 0) this.#pass(new Uint8Array(0));
    else this.#open(length);
    return at + taken;
  }

  #open(length: number): void {
    this.#messageLength = length;
    this.#messageHave = 0;
    this.#message = NOTHING;
  }

  #fill(source: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#messageLength - this.#messageHave, end - at);
    const have = this.#messageHave + taken;
    const before: Uint8Array<ArrayBuffer> = this.#message ?? NOTHING;
    if (have === this.#messageLength) {
      const whole = before.length === have ? before : messageMemory(have);
      if (whole !== before) whole.set(part(before, 0, this.#messageHave));
      whole.set(part(source, at, taken), this.#messageHave);
      this.#drop(before);
      this.#pass(whole);
      return at + taken;
    }
    const message = have > before.length ? this.#grown(before, have) : before;
    if (message === undefined) return this.#doWithout(before, at);
    message.set(part(source, at, taken), this.#messageHave);
    this.#messageHave = have;
    this.#message = message;
    return at + taken;
  }

  /** Memory for at least so many bytes, with the bytes that have arrived; undefined if there is no room for it. */
  #grown(message: Uint8Array<ArrayBuffer>, have: number): Uint8Array<ArrayBuffer> | undefined {
    const first = Math.min(FIRST_ALLOCATION_BYTES, have * FIRST_ALLOCATION_FACTOR);
    const size = Math.min(this.#messageLength, Math.max(have, message.length === 0 ? first : message.length * 2));
    const more = countedBytes(size) - countedBytes(message.length);
    if (more > 0 && !this.#room.holdReceived(more)) return undefined;
    const larger = unfinishedMemory(size);
    larger.set(part(message, 0, this.#messageHave));
    return larger;
  }

  #drop(message: Uint8Array): void {
    this.#message = undefined;
    const counted = countedBytes(message.length);
    if (counted > 0) this.#room.releaseReceived(counted);
  }

  /** There is no room for more of the message: its body is dropped, and the rest of it is read. */
  #doWithout(message: Uint8Array, at: number): number {
    const oversized = new OversizedMessage(this.#messageLength, this.#maxMessageBytes, this.#room);
    this.#oversizedFor = "no_room";
    this.#drop(message);
    this.#oversized = oversized;
    this.#skim(oversized, message, 0, this.#messageHave);
    return at;
  }

  /** Reads a message that is not kept, without the bytes of its body. */
  #skim(oversized: OversizedMessage, source: Uint8Array, start: number, end: number): number {
    const at = oversized.take(source, start, end);
    const { length, tag, message } = oversized;
    if (at === undefined) {
      this.#refuse({ kind: oversized.lacksRoom ? "no_room" : this.#oversizedFor, length, tag });
      return end;
    }
    if (message === undefined) return at;
    this.#oversized = undefined;
    oversized.release();
    this.#sink.onOversized(message, length, this.#oversizedFor);
    return at;
  }

  #pass(message: Uint8Array<ArrayBuffer>): void {
    if (this.#sink.onMessage(message)) recycleMessage(message);
  }

  #lengthAt(source: Uint8Array, at: number): number | undefined {
    const flag = source[at] ?? 0;
    const length = readUint32(source, at + 1);
    if (flag !== 0) this.#refuse(flag === 1 ? { kind: "compressed" } : { kind: "bad_flag", flag });
    else if (length <= this.#maxMessageBytes) return length;
    else {
      this.#oversizedFor = "too_large";
      this.#oversized = new OversizedMessage(length, this.#maxMessageBytes, this.#room);
      return OVERSIZED;
    }
    return undefined;
  }

  #refuse(problem: FramingProblem): void {
    this.stop();
    this.#sink.onUnreadable(problem);
  }
}

function countedBytes(size: number): number {
  return size > UNCOUNTED_BYTES ? size : 0;
}

/** Faster than subarray() of a Buffer, which creates a Buffer. */
function part(source: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(source.buffer, source.byteOffset + at, length);
}
