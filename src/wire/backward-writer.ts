import { isWritableLength, varintBytes, writeLength } from "./varint.ts";

/** Memory for all fields of a message except its large contents. Nearly every answer is far below that. */
const MEMORY_BYTES = 8 * 1024;
/** Larger contents, such as bodies, are copied only once: into the output. */
const LARGE_BYTES = 512;
/** Up to this length a loop is faster than a copy by the engine. */
const LOOP_LONGEST = 24;
const LENGTH_DELIMITED = 2;

/** Bytes that are written between the bytes in the memory. */
interface LargeContent {
  readonly bytes: Uint8Array;
  /** The bytes in the memory from here on come after it. */
  readonly at: number;
}

/**
 * Writes the fields of one message from the last to the first. The length of a nested message stands before its content,
 * so it is known when it is written. Nothing is counted before, and nothing is moved.
 *
 * Fields have numbers below 16, so that a tag has one byte. Zero and empty values are left out, as in proto3.
 */
export class BackwardWriter {
  /** The number of bytes of the fields so far. */
  length = 0;
  /** False if something came that is not written here. */
  isComplete = true;
  readonly #memory = new Uint8Array(MEMORY_BYTES);
  /** The fields are in the memory from here on. */
  #at = MEMORY_BYTES;
  /** The last one first. */
  #large: LargeContent[] | undefined;

  /** Begins a new message. */
  begin(): void {
    this.length = 0;
    this.isComplete = true;
    this.#at = MEMORY_BYTES;
    this.#large = undefined;
  }

  /** Copies the message to an offset. */
  copyTo(target: Uint8Array, offset: number): void {
    let end = offset + this.length;
    let from = MEMORY_BYTES;
    for (const { bytes, at } of this.#large ?? NONE) {
      end = this.#copyMemory(target, end, at, from) - bytes.length;
      target.set(bytes, end);
      from = at;
    }
    this.#copyMemory(target, end, this.#at, from);
  }

  /** Copies a part of the memory, so that the copy ends at an offset. Returns the offset of the copy. */
  #copyMemory(target: Uint8Array, end: number, from: number, to: number): number {
    const offset = end - (to - from);
    if (to - from > LOOP_LONGEST) target.set(this.#memory.subarray(from, to), offset);
    else for (let at = from; at < to; at++) target[offset + at - from] = this.#memory[at] as number;
    return offset;
  }

  /** Leaves the message to protobuf-es if it has something that is not written here. */
  leaveIf(hasMore: boolean): void {
    if (hasMore) this.isComplete = false;
  }

  /** Makes everything that came since the length was `since` the content of a field. */
  nested(field: number, since: number): void {
    this.#tagAndNumber((field << 3) | LENGTH_DELIMITED, this.length - since);
  }

  bytes(field: number, bytes: Uint8Array): void {
    if (bytes.length > 0) this.bytesOrEmpty(field, bytes);
  }

  /** Writes bytes, even if there are none: a member of a oneof. */
  bytesOrEmpty(field: number, bytes: Uint8Array): void {
    const { length } = bytes;
    if (length > LARGE_BYTES) {
      this.#large ??= [];
      this.#large.push({ bytes, at: this.#at });
      this.length += length;
    } else if (this.#reserve(length)) {
      let at = this.#at;
      if (length > LOOP_LONGEST) this.#memory.set(bytes, at);
      else for (let index = 0; index < length; index++) this.#memory[at++] = bytes[index] as number;
    }
    this.#tagAndNumber((field << 3) | LENGTH_DELIMITED, length);
  }

  ascii(field: number, text: string): void {
    if (text !== "") this.asciiOrEmpty(field, text);
  }

  /** Writes text, even if it is empty: an element of a list. */
  asciiOrEmpty(field: number, text: string): void {
    const { length } = text;
    if (this.#reserve(length)) {
      const at = this.#at;
      let units = 0;
      for (let index = 0; index < length; index++) {
        const unit = text.charCodeAt(index);
        units |= unit;
        this.#memory[at + index] = unit;
      }
      if (units >= 0x80) this.isComplete = false;
    }
    this.#tagAndNumber((field << 3) | LENGTH_DELIMITED, length);
  }

  /** Writes a whole number. */
  number(field: number, value: number): void {
    if (value !== 0) this.#tagAndNumber(field << 3, value);
  }

  flag(field: number, flag: boolean): void {
    if (flag) this.#tagAndNumber(field << 3, 1);
  }

  /** Writes a flag, even if it is false: a member of a oneof. */
  flagOrFalse(field: number, flag: boolean): void {
    this.#tagAndNumber(field << 3, flag ? 1 : 0);
  }

  #tagAndNumber(tag: number, value: number): void {
    if (!(Number.isInteger(value) && value >= 0 && isWritableLength(value))) this.isComplete = false;
    else if (this.#reserve(1 + varintBytes(value))) {
      this.#memory[this.#at] = tag;
      writeLength(this.#memory, this.#at + 1, value);
    }
  }

  /** False if the memory is full. */
  #reserve(bytes: number): boolean {
    if (bytes > this.#at) {
      this.isComplete = false;
      return false;
    }
    this.#at -= bytes;
    this.length += bytes;
    return true;
  }
}

const NONE: readonly LargeContent[] = [];
