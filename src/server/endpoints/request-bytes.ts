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

/** What a call gets whose request finds no room in the memory that this setting limits. */
export function noRoomError(flag = "--max-held-message-bytes"): ConnectError {
  return new ConnectError(`the request finds no room: ${flag}`, Code.ResourceExhausted);
}

/** What is known of a request when it begins. */
export interface RequestBytesOptions {
  /** Counts what is kept. */
  readonly room: ReceivedBytes;
  readonly method: HttpHandler["method"];
  readonly contentType: string;
  /** A longer message is handed over as it comes, for Connect to refuse it. */
  readonly maxMessageBytes: number;
}

/** Counts what a call keeps in a share of the memory account. Each call has as much of it as is still free at most. */
export function roomIn(memory: MemoryShare): ReceivedBytes {
  const share = new FairShare(memory);
  return { holdReceived: (bytes) => share.take(bytes), releaseReceived: (bytes) => share.give(bytes) };
}

/**
 * Keeps the bytes of a request until they are whole messages, and counts what it and the handler keep. Connect itself
 * reserves the memory for a message as soon as its length is promised.
 *
 * gRPC, gRPC-Web and Connect cut a stream of messages alike, by a flag and four bytes of length (gRPC over HTTP/2,
 * "Length-Prefixed-Message"). A message of a stream counts until it is handed over, a single one until the call is over.
 */
export class RequestBytes {
  readonly #options: RequestBytesOptions;
  readonly #isStream: boolean;
  readonly #isEnveloped: boolean;
  #heldBytes = 0;
  /** What has come of the current message, with its prefix if it has one. */
  readonly #envelopes = new EnvelopeJoiner();
  readonly #body = new GrowingBytes();
  /** A message is too long: Connect refuses it and keeps nothing. */
  #isTooLong = false;
  /** Nothing is kept any more. */
  #isOver = false;

  constructor(options: RequestBytesOptions) {
    const { methodKind } = options.method;
    this.#options = options;
    this.#isStream = methodKind === "client_streaming" || methodKind === "bidi_streaming";
    this.#isEnveloped = ENVELOPED.test(options.contentType);
  }

  /** The client has sent half a message. Always true for a single message: the end of the request is its end. */
  get isMidMessage(): boolean {
    return !this.#isStream || this.#pendingBytes > 0;
  }

  /** Takes a chunk and gives what can be handed over: whole messages. Undefined: there is no room for the chunk. */
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

  /** The request is complete: gives what is left of it. */
  end(): readonly Uint8Array[] {
    if (this.#pendingBytes === 0) return NOTHING;
    return [this.#isEnveloped ? this.#envelopes.rest() : this.#body.take()];
  }

  /** Connect has taken so many bytes. */
  handedOver(bytes: number): void {
    if (this.#isStream) this.#give(Math.min(bytes, this.#heldBytes));
  }

  /** The call is over, or needs no more of its request. */
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

/** A chunk can have thousands of empty messages, and each piece costs more than its bytes. */
function joined(pieces: readonly Uint8Array[]): readonly Uint8Array[] {
  return pieces.length > 1 ? [Buffer.concat(pieces)] : pieces;
}
