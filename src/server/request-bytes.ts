import { Code, ConnectError } from "@connectrpc/connect";
import type { ReceivedBytes } from "../grpc/message-reader.ts";
import { FairShare } from "../memory/fair-share.ts";
import type { MemoryShare } from "../memory/memory-share.ts";
import { GrowingBytes } from "../services/growing-bytes.ts";
import type { HttpHandler } from "../services/http-service.ts";

const PREFIX_BYTES = 5;
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
  /** What has come of the current message. */
  readonly #pending = new GrowingBytes();
  #pendingBytes = 0;
  /** How much of its prefix has come, and what that says so far. */
  #prefixHave = 0;
  #length = 0;
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
    const end = this.#isEnveloped ? this.#lastEnd(chunk) : 0;
    this.#pendingBytes = end > 0 ? chunk.length - end : this.#pendingBytes + chunk.length;
    if (!this.#isEnveloped) this.#isTooLong = this.#pendingBytes > this.#options.maxMessageBytes;
    if (this.#isTooLong) return this.#tooLong(chunk);
    if (end === 0) {
      this.#pending.push(chunk);
      return NOTHING;
    }
    const whole = this.#withPending(chunk.subarray(0, end));
    if (end < chunk.length) this.#pending.push(chunk.subarray(end));
    return whole;
  }

  /** The request is complete: gives what is left of it. */
  end(): readonly Uint8Array[] {
    return this.#pending.length > 0 ? [this.#pending.take()] : NOTHING;
  }

  /** Connect has taken so many bytes. */
  handedOver(bytes: number): void {
    if (this.#isStream) this.#give(Math.min(bytes, this.#heldBytes));
  }

  /** The call is over, or needs no more of its request. */
  release(): void {
    this.#isOver = true;
    this.#pending.take();
    this.#give(this.#heldBytes);
  }

  #tooLong(chunk: Uint8Array): readonly Uint8Array[] {
    const all = this.#withPending(chunk);
    this.release();
    return all;
  }

  #withPending(bytes: Uint8Array): readonly Uint8Array[] {
    return this.#pending.length > 0 ? [this.#pending.take(), bytes] : [bytes];
  }

  #give(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes -= bytes;
    this.#options.room.releaseReceived(bytes);
  }

  /** Where the last message ends that is complete with this chunk; 0 if none is. */
  #lastEnd(chunk: Uint8Array): number {
    let end = 0;
    let at = 0;
    // Of the current message, with its prefix.
    let have = this.#pendingBytes;
    while (at < chunk.length && !this.#isTooLong) {
      if (this.#prefixHave < PREFIX_BYTES) {
        this.#readPrefix(chunk[at++] ?? 0);
        have++;
      } else {
        const taken = Math.min(PREFIX_BYTES + this.#length - have, chunk.length - at);
        have += taken;
        at += taken;
      }
      if (this.#prefixHave < PREFIX_BYTES || have < PREFIX_BYTES + this.#length) continue;
      end = at;
      have = 0;
      this.#prefixHave = 0;
    }
    return end;
  }

  #readPrefix(byte: number): void {
    this.#length = this.#prefixHave === 0 ? 0 : this.#length * 256 + byte;
    this.#prefixHave++;
    if (this.#prefixHave === PREFIX_BYTES) this.#isTooLong = this.#length > this.#options.maxMessageBytes;
  }
}
