import { varintBytes, writeLength } from "../varint.ts";

/** Up to here a loop beats a copy by the engine. */
const LOOP_LONGEST = 32;

/**
 * Writes fields of protobuf from the end of a message to its beginning. The length of what is nested stands before it, so
 * that it is known by then, and nothing is counted twice or moved. All tags are of one byte; values that are zero or
 * empty are left out, as proto3 wants it.
 */
export class BackwardWriter {
  /** Where what has been written begins. */
  at: number;
  readonly #target: Uint8Array;

  constructor(target: Uint8Array, end: number) {
    this.#target = target;
    this.at = end;
  }

  /** Puts tag and length before what was written since the writer stood at `end`. */
  head(tag: number, end: number): void {
    const length = end - this.at;
    this.at -= varintBytes(length) + 1;
    this.#target[this.at] = tag;
    writeLength(this.#target, this.at + 1, length);
  }

  /** Bytes without a head. */
  content(bytes: Uint8Array): void {
    this.at -= bytes.length;
    if (bytes.length > LOOP_LONGEST) {
      this.#target.set(bytes, this.at);
      return;
    }
    let at = this.at;
    for (const byte of bytes) this.#target[at++] = byte;
  }

  /** Text in ASCII without a head. */
  asciiContent(text: string): void {
    this.at -= text.length;
    for (let index = 0; index < text.length; index++) this.#target[this.at + index] = text.charCodeAt(index);
  }

  bytes(tag: number, bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    const end = this.at;
    this.content(bytes);
    this.head(tag, end);
  }

  ascii(tag: number, text: string): void {
    if (text === "") return;
    const end = this.at;
    this.asciiContent(text);
    this.head(tag, end);
  }

  /** A whole number from 0 on that a length could be, or an enum's. */
  number(tag: number, value: number): void {
    if (value === 0) return;
    this.at -= varintBytes(value) + 1;
    this.#target[this.at] = tag;
    writeLength(this.#target, this.at + 1, value);
  }

  flag(tag: number, flag: boolean): void {
    if (flag) this.flagOrZero(tag, true);
  }

  /** A flag that is written even if it is false. */
  flagOrZero(tag: number, flag: boolean): void {
    this.at -= 2;
    this.#target[this.at] = tag;
    this.#target[this.at + 1] = flag ? 1 : 0;
  }
}
