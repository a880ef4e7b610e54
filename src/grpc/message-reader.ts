import { messageMemory, recycleMessage } from "./message-memory.ts";
import { OversizedMessage } from "./oversized-message.ts";

/** Takes what a {@link MessageReader} finds. */
export interface MessageSink {
  /** One message. The bytes are the sink's own; true gives them back, when neither they nor a part of them are kept. */
  onMessage(message: Uint8Array): boolean;
  /** A message above the limit that carries a body: the message without the body's bytes. `length` is its own length. */
  onOversized(message: Uint8Array, length: number): void;
  /** The stream cannot be read on; nothing follows. */
  onUnreadable(problem: FramingProblem): void;
}

/** Why a stream of gRPC messages cannot be read. */
export type FramingProblem =
  /** The compressed flag is set. */
  | { readonly kind: "compressed" }
  /** The first byte of a frame is neither 0 nor 1. */
  | { readonly kind: "bad_flag"; readonly flag: number }
  /** A message above the limit. `tag` is its first byte, which says which member it has. */
  | { readonly kind: "too_large"; readonly length: number; readonly tag: number };

const PREFIX_BYTES = 5;
/** In place of a length: the message is above the limit. */
const OVERSIZED = -1;
/**
 * What a message gets at first, however long it says it is: a promised length alone buys little memory. A chunk of
 * 64 KiB and what comes around it fit in, so that it is not copied a second time.
 */
const FIRST_ALLOCATION_BYTES = 72 * 1024;

/**
 * Cuts a body into gRPC messages (gRPC over HTTP/2, "Length-Prefixed-Message"), wherever its pieces are cut. Each
 * message is copied once: out of the socket's buffer, which is thereby free at the end of the turn.
 */
export class MessageReader {
  readonly #sink: MessageSink;
  readonly #maxMessageBytes: number;
  /** Made for the first prefix that is cut in two. */
  #prefix: Uint8Array | undefined;
  #prefixHave = 0;
  /** A message that is not complete yet. */
  #message: Uint8Array<ArrayBuffer> | undefined;
  #messageHave = 0;
  #messageLength = 0;
  /** A message above the limit. */
  #oversized: OversizedMessage | undefined;
  #stopped = false;

  constructor(sink: MessageSink, maxMessageBytes: number) {
    this.#sink = sink;
    this.#maxMessageBytes = maxMessageBytes;
  }

  /** True between two messages: the one place where a body may end. */
  get idle(): boolean {
    return this.#message === undefined && this.#prefixHave === 0 && this.#oversized === undefined;
  }

  /** Drops what is left, and everything that still comes. */
  stop(): void {
    this.#stopped = true;
    this.#message = undefined;
    this.#oversized = undefined;
  }

  /** Takes the next piece of the body, `source` from `start` to `end`. */
  read(source: Uint8Array, start: number, end: number): void {
    let at = start;
    while (at < end && !this.#stopped) {
      if (this.#message !== undefined) at = this.#fill(source, at, end);
      else if (this.#oversized !== undefined) at = this.#skim(this.#oversized, source, at, end);
      else if (this.#prefixHave > 0 || end - at < PREFIX_BYTES) at = this.#readPrefix(source, at, end);
      else at = this.#begin(source, at, end);
    }
  }

  /** A prefix that lies whole in this piece, and with luck its message too. */
  #begin(source: Uint8Array, prefixAt: number, end: number): number {
    const length = this.#lengthAt(source, prefixAt);
    if (length === undefined) return end;
    const at = prefixAt + PREFIX_BYTES;
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
    const taken = Math.min(PREFIX_BYTES - this.#prefixHave, end - at);
    this.#prefix ??= new Uint8Array(PREFIX_BYTES);
    this.#prefix.set(part(source, at, taken), this.#prefixHave);
    this.#prefixHave += taken;
    if (this.#prefixHave < PREFIX_BYTES) return at + taken;
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
    this.#message = messageMemory(Math.min(length, FIRST_ALLOCATION_BYTES));
  }

  #fill(source: Uint8Array, at: number, end: number): number {
    const taken = Math.min(this.#messageLength - this.#messageHave, end - at);
    const have = this.#messageHave + taken;
    let message: Uint8Array<ArrayBuffer> = this.#message ?? new Uint8Array(0);
    if (have > message.length) {
      const larger = messageMemory(Math.min(this.#messageLength, Math.max(have, message.length * 2)));
      larger.set(message.subarray(0, this.#messageHave));
      message = larger;
    }
    message.set(part(source, at, taken), this.#messageHave);
    this.#messageHave = have;
    this.#message = have < this.#messageLength ? message : undefined;
    if (have === this.#messageLength) this.#pass(message);
    return at + taken;
  }

  /** Reads a message above the limit, without the bytes of its body. */
  #skim(oversized: OversizedMessage, source: Uint8Array, start: number, end: number): number {
    const at = oversized.take(source, start, end);
    const { length, tag, message } = oversized;
    if (at === undefined) {
      this.#refuse({ kind: "too_large", length, tag });
      return end;
    }
    if (message === undefined) return at;
    this.#oversized = undefined;
    this.#sink.onOversized(message, length);
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
      this.#oversized = new OversizedMessage(length, this.#maxMessageBytes);
      return OVERSIZED;
    }
    return undefined;
  }

  #refuse(problem: FramingProblem): void {
    this.stop();
    this.#sink.onUnreadable(problem);
  }
}

/** Quicker than subarray() of a Buffer, which makes a Buffer. */
function part(source: Uint8Array, at: number, length: number): Uint8Array {
  return new Uint8Array(source.buffer, source.byteOffset + at, length);
}

function readUint32(source: Uint8Array, at: number): number {
  const high = ((source[at] ?? 0) << 8) | (source[at + 1] ?? 0);
  return high * 0x1_0000 + (((source[at + 2] ?? 0) << 8) | (source[at + 3] ?? 0));
}
