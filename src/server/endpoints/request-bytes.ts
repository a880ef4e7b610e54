import { Code, ConnectError } from "@connectrpc/connect";
import type { ReceivedBytes } from "../../grpc/message-reader.ts";
import { FairShare } from "../../memory/fair-share.ts";
import type { MemoryShare } from "../../memory/memory-share.ts";
import { EnvelopeJoiner } from "../../services/connect/envelope-joiner.ts";
import { GrowingBytes } from "../../services/connect/growing-bytes.ts";
import type { HttpHandler } from "../../services/process/http-service.ts";

/** Media types whose bodies are messages with a prefix; every other body is one message. */
const ENVELOPED = /^application\/(?:grpc|connect\+)/;
const NOTHING: readonly Uint8Array[] = [];

/** The error of a call whose request does not fit into the memory that this setting limits. */
export function noRoomError(flag = "--max-held-message-bytes"): ConnectError {
  return new ConnectError(`the request exceeds the memory of ${flag}`, Code.ResourceExhausted);
}

/** Options of {@link RequestBytes}. */
export interface RequestBytesOptions {
  /** Counts the kept bytes. */
  readonly room: ReceivedBytes;
  readonly method: HttpHandler["method"];
  readonly contentType: string;
  /** A longer message is handed over as it comes, so that Connect rejects it. */
  readonly maxMessageBytes: number;
}

/**
 * Counts the bytes that a call keeps in a share of the memory account. A call can use only the part that is still free.
 */
export function roomIn(memory: MemoryShare): ReceivedBytes {
  const share = new FairShare(memory);
  return { holdReceived: (bytes) => share.take(bytes), releaseReceived: (bytes) => share.give(bytes) };
}

/**
 * Keeps the bytes of a request until they are whole messages, and counts the bytes that it and the handler keep.
 * Connect itself would allocate the memory for a message as soon as its length is announced.
 *
 * gRPC, gRPC-Web and Connect frame messages in the same way, with a flag and four bytes of length (gRPC over HTTP/2,
 * "Length-Prefixed-Message"). A message of a stream counts until it is handed over, a single message until the call is
 * over.
 */
export class RequestBytes {
  readonly #options: RequestBytesOptions;
  readonly #isStream: boolean;
  readonly #isEnveloped: boolean;
  #heldBytes = 0;
  /** The received part of the current message, with its prefix if it has one. */
  readonly #envelopes = new EnvelopeJoiner();
  readonly #body = new GrowingBytes();
  /** True: a message is too long. Connect rejects it and keeps nothing. */
  #isTooLong = false;
  /** True: no more bytes are kept. */
  #isOver = false;

  constructor(options: RequestBytesOptions) {
    const { methodKind } = options.method;
    this.#options = options;
    this.#isStream = methodKind === "client_streaming" || methodKind === "bidi_streaming";
    this.#isEnveloped = ENVELOPED.test(options.contentType);
  }

  /** True if the client has sent a part of a message. Always true for a single message, which ends with the request. */
  get isMidMessage(): boolean {
    return !this.#isStream || this.#pendingBytes > 0;
  }

  /**
   * Takes a chunk and returns the whole messages that can be handed over. Undefined: the chunk does not fit into
   * memory.
   */
  receive(chunk: Uint8Array): readonly Uint8Array[] | undefined {
    if (this.#isTooLong || this.#isOver) return [chunk];
    if (!this.#options.room.holdReceived(chunk.length)) return undefined;
    this.#heldBytes += chunk.length;
    if (!this.#isEnveloped) this.#body.push(chunk);
    const whole = this.#isEnveloped ? joined([...this.#envelopes.push(chunk)]) : NOTHING;
    const length = this.#isEnveloped ? this.#envelopes.announcedBytes : this.#body.length;
    this.#isTooLong = length !== undefined && length > this.#options.maxMessageBytes;
    if (!this.#isTooLong) return whole;
    const all = [...whole, ...this.end()];
    this.release();
    return all;
  }

  /** Called at the end of the request. Returns the rest of its bytes. */
  end(): readonly Uint8Array[] {
    if (this.#pendingBytes === 0) return NOTHING;
    return [this.#isEnveloped ? this.#envelopes.rest() : this.#body.take()];
  }

  /** Called when Connect has taken bytes. */
  handedOver(bytes: number): void {
    if (this.#isStream) this.#give(Math.min(bytes, this.#heldBytes));
  }

  /** Called when the call is over, or when it does not need the rest of its request. */
  release(): void {
    this.#isOver = true;
    this.end();
    this.#give(this.#heldBytes);
  }

  get #pendingBytes(): number {
    return this.#isEnveloped ? this.#envelopes.heldBytes : this.#body.length;
  }

  #give(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes -= bytes;
    this.#options.room.releaseReceived(bytes);
  }
}

/** Joins pieces, because a chunk can have thousands of empty messages, and each piece costs more than its bytes. */
function joined(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  return pieces.length > 1 ? [Buffer.concat(pieces)] : pieces;
}
