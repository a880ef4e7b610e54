import type { ReceivedBytes } from "./message-reader.ts";

/** Tags of `request_body` and `response_body` in a ProcessingRequest, and of `body` in an HttpBody. */
const BODY_TAGS: readonly number[] = [0x22, 0x2a];
const BYTES_TAG = 0x0a;
/** Two tags and two lengths. */
const HEAD_BYTES = 12;

/**
 * Reads a message that exceeds the limit, or the memory that is left, without the bytes of its body. The bytes are
 * counted and dropped, so the message costs no more memory than any other. The rest says what the message is: which body, whether the body
 * ends, and what came with it.
 */
export class OversizedMessage {
  /** Length of the whole message, in bytes. */
  readonly length: number;
  readonly #maxRestBytes: number;
  readonly #room: ReceivedBytes;
  #head: number[] = [];
  #headLength = 0;
  #bodyLeft = 0;
  /** What is kept; it grows with what has come. */
  #rest: Uint8Array<ArrayBuffer> | undefined;
  #restLength = 0;
  #restHave = 0;
  /** There was no room for what came with the body. */
  lacksRoom = false;
  #innerRest = 0;

  constructor(length: number, maxRestBytes: number, room: ReceivedBytes) {
    this.length = length;
    this.#maxRestBytes = maxRestBytes;
    this.#room = room;
  }

  /** First byte of the message, which says what it is; 0 before that byte came. */
  get tag(): number {
    return this.#head[0] ?? 0;
  }

  /** Stops counting the bytes that are kept. */
  release(): void {
    if (this.#rest !== undefined) this.#room.releaseReceived(this.#rest.length);
    this.#rest = undefined;
  }

  /** Takes bytes, and returns the position after them; undefined if the message has no body, or is too large without it. */
  take(source: Uint8Array, start: number, end: number): number | undefined {
    let at = start;
    while (this.#rest === undefined && at < end) {
      this.#head.push(source[at++] ?? 0);
      if (!BODY_TAGS.includes(this.tag)) return undefined;
      if (this.#head.length === HEAD_BYTES && !this.#open()) return undefined;
    }
    if (this.#rest === undefined) return at;
    const dropped = Math.min(this.#bodyLeft, end - at);
    this.#bodyLeft -= dropped;
    return this.#keep(source, at + dropped, end);
  }

  /** The message with an empty body; undefined before all of it came. */
  get message(): Uint8Array | undefined {
    const rest = this.#rest;
    if (rest === undefined || this.#bodyLeft > 0 || this.#restHave < this.#restLength) return undefined;
    const prefix = [this.tag, ...varint(this.#innerRest)];
    const message = new Uint8Array(prefix.length + this.#restLength);
    message.set(prefix);
    message.set(rest.subarray(0, this.#restLength), prefix.length);
    return message;
  }

  /** Reads the head of the message: false if it is not the head of a body. */
  #open(): boolean {
    const head = this.#head;
    const inner = this.#readVarint(1);
    if (inner === undefined || head[this.#headLength] !== BYTES_TAG) return false;
    const innerStart = this.#headLength;
    const body = this.#readVarint(innerStart + 1);
    if (body === undefined) return false;
    this.#innerRest = inner - body - (this.#headLength - innerStart);
    const restBytes = this.length - this.#headLength - body;
    if (this.#innerRest < 0 || restBytes < this.#innerRest || restBytes > this.#maxRestBytes) return false;
    this.#rest = new Uint8Array(0);
    this.#restLength = restBytes;
    this.#bodyLeft = body;
    const ahead = Uint8Array.from(head.slice(this.#headLength));
    const dropped = Math.min(this.#bodyLeft, ahead.length);
    this.#bodyLeft -= dropped;
    return this.#keep(ahead, dropped, ahead.length) !== undefined;
  }

  #keep(source: Uint8Array, start: number, end: number): number | undefined {
    const taken = Math.min(this.#restLength - this.#restHave, end - start);
    const have = this.#restHave + taken;
    let rest = this.#rest ?? new Uint8Array(0);
    if (have > rest.length) {
      const size = Math.min(this.#restLength, Math.max(have, rest.length * 2));
      if (!this.#room.holdReceived(size - rest.length)) {
        this.lacksRoom = true;
        return undefined;
      }
      const larger = new Uint8Array(size);
      larger.set(rest.subarray(0, this.#restHave));
      rest = larger;
    }
    rest.set(source.subarray(start, start + taken), this.#restHave);
    this.#rest = rest;
    this.#restHave = have;
    return start + taken;
  }

  #readVarint(start: number): number | undefined {
    let value = 0;
    for (let at = start; at < start + 5; at++) {
      const byte = this.#head[at];
      if (byte === undefined) return undefined;
      value += (byte & 0x7f) * 2 ** (7 * (at - start));
      if (byte < 0x80) {
        this.#headLength = at + 1;
        return value;
      }
    }
    return undefined;
  }
}

function varint(value: number): number[] {
  const bytes: number[] = [];
  let left = value;
  for (; left >= 0x80; left = Math.floor(left / 0x80)) bytes.push((left % 0x80) | 0x80);
  return [...bytes, left];
}
