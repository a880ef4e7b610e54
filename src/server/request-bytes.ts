import { Code, ConnectError } from "@connectrpc/connect";
import type { ReceivedBytes } from "../grpc/message-reader.ts";
import type { HttpHandler } from "../services/http-service.ts";

const PREFIX_BYTES = 5;

/** What a call gets whose request finds no room. */
export function noRoomError(): ConnectError {
  return new ConnectError("the request finds no room: --max-held-message-bytes", Code.ResourceExhausted);
}

/**
 * Counts the bytes of a request that Connect and its handler keep. A call with one request message keeps all of it until the
 * call is over. A call with a stream of messages keeps a message until all of it has been handed over: gRPC, gRPC-Web and
 * Connect cut such a stream alike, by a flag and four bytes of length (gRPC over HTTP/2, "Length-Prefixed-Message").
 */
export class RequestBytes {
  readonly #room: ReceivedBytes;
  readonly #isStream: boolean;
  #heldBytes = 0;
  /** How far the current message has come: bytes of its prefix, what the prefix says so far, and bytes still to come. */
  #prefixHave = 0;
  #length = 0;
  #left = 0;
  /** Bytes received since the last message was complete. */
  #unfinishedBytes = 0;
  /** For each chunk that was not handed over: the bytes of messages that are complete with it. */
  readonly #completeBytes: number[] = [];

  constructor(room: ReceivedBytes, { method }: HttpHandler) {
    this.#room = room;
    this.#isStream = method.methodKind === "client_streaming" || method.methodKind === "bidi_streaming";
  }

  /** The client has sent half a message. Always true for a single message: the end of the request is its end. */
  get isMidMessage(): boolean {
    return !this.#isStream || this.#unfinishedBytes > 0;
  }

  /** Counts a chunk; false: there is no room for it. */
  receive(chunk: Uint8Array): boolean {
    if (!this.#room.holdReceived(chunk.length)) return false;
    this.#heldBytes += chunk.length;
    if (this.#isStream) this.#completeBytes.push(this.#cut(chunk));
    return true;
  }

  /** The oldest chunk has been handed over, and with it the messages that are complete. */
  handedOver(): void {
    if (this.#isStream) this.#give(this.#completeBytes.shift() ?? 0);
  }

  /** The call is over. */
  release(): void {
    this.#completeBytes.length = 0;
    this.#give(this.#heldBytes);
  }

  #give(bytes: number): void {
    if (bytes === 0) return;
    this.#heldBytes -= bytes;
    this.#room.releaseReceived(bytes);
  }

  /** Looks for the ends of messages; gives the bytes of those that are complete with this chunk. */
  #cut(chunk: Uint8Array): number {
    let complete = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#prefixHave < PREFIX_BYTES) {
        this.#readPrefix(chunk[at++] ?? 0);
        this.#unfinishedBytes++;
      } else {
        const taken = Math.min(this.#left, chunk.length - at);
        this.#left -= taken;
        this.#unfinishedBytes += taken;
        at += taken;
      }
      if (this.#prefixHave < PREFIX_BYTES || this.#left > 0) continue;
      complete += this.#unfinishedBytes;
      this.#unfinishedBytes = 0;
      this.#prefixHave = 0;
    }
    return complete;
  }

  #readPrefix(byte: number): void {
    this.#length = this.#prefixHave === 0 ? 0 : this.#length * 256 + byte;
    this.#prefixHave++;
    if (this.#prefixHave === PREFIX_BYTES) this.#left = this.#length;
  }
}
