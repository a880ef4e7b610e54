import { varintBytes, writeLength } from "./varint.ts";

/** Up to this length a loop is faster than a copy by the engine. */
const LOOP_LONGEST = 32;

/**
 * Writes protobuf fields from the end of a message to its beginning. The length of a nested message stands before its
 * content, so it is known when it is written. Nothing is counted twice or moved. All tags have one byte. Zero and empty
 * values are left out, as in proto3.
 */
export class BackwardWriter {
  /** The position where the written bytes begin. */
  at: number;
  readonly #target: Uint8Array;

  constructor(target: Uint8Array, end: number) {
    this.#target = target;
    this.at = end;
  }

  /** Writes tag and length before the bytes that were written since the writer was at `end`. */
  head(tag: number, end: number): void {
    const length = end - this.at;
    this.at -= varintBytes(length) + 1;
    this.#target[this.at] = tag;
    writeLength(this.#target, this.at + 1, length);
  }

  /** Writes bytes without tag and length. */
  content(bytes: Uint8Array): void {
    this.at -= bytes.length;
    if (bytes.length > LOOP_LONGEST) {
      this.#target.set(bytes, this.at);
      return;
    }
    let at = this.at;
    for (const byte of bytes) this.#target[at++] = byte;
  }

  /** Writes ASCII text without tag and length. */
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

  /** Writes a whole number that is not negative: a length or an enum value. */
  number(tag: number, value: number): void {
    if (value === 0) return;
    this.at -= varintBytes(value) + 1;
    this.#target[this.at] = tag;
    writeLength(this.#target, this.at + 1, value);
  }

  flag(tag: number, flag: boolean): void {
    if (flag) this.flagOrZero(tag, true);
  }

  /** Writes a flag, even if it is false. */
  flagOrZero(tag: number, flag: boolean): void {
    this.at -= 2;
    this.#target[this.at] = tag;
    this.#target[this.at + 1] = flag ? 1 : 0;
  }
}
