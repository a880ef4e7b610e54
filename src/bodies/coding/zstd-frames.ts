import { type CodingFailure, codingFailure } from "./coding-failure.ts";

/** Why a body is not one that can be decoded. */
type ZstdFailureCode = "corrupt" | "trailing_data" | "too_large";

const FRAME_MAGIC = 0xfd2fb528;
const SKIPPABLE_MAGIC = 0x184d2a50;
/** The largest window that RFC 9659 allows in HTTP, so that a receiver's memory is bounded. */
const MAX_WINDOW_BYTES = 8 << 20;
const DICTIONARY_ID_BYTES = [0, 1, 2, 4] as const;
const BLOCK_RLE = 1;
const BLOCK_RESERVED = 3;

type Field = "magic" | "skippable_size" | "descriptor" | "header" | "block_header";

/**
 * Cuts a zstd body into its frames (RFC 8878 section 3.1), whatever its chunks.
 *
 * Node's own decoder stops after the first frame of a write (22 and 24). It reports neither a body that ends in the middle
 * of a frame (22) nor garbage after the last frame (all). So it gets only whole frames, one after the other, and
 * no skippable frames.
 */
export class ZstdFrames {
  #field: Field = "magic";
  /** The bytes of the current field that have arrived. */
  readonly #held = new Uint8Array(14);
  #heldLength = 0;
  #neededLength = 4;
  /** Bytes to come before the next field. */
  #skipLength = 0;
  #skippable = false;
  #lastBlock = false;
  #hasChecksum = false;
  #frameCount = 0;
  /** The largest window of the frames so far. */
  windowBytes = 0;

  /** Whether a body may end here. */
  get atFrameEnd(): boolean {
    return this.#field === "magic" && this.#heldLength === 0 && this.#skipLength === 0;
  }

  /** Whether there was one frame so far, and it is to be decoded. */
  get isOnlyOne(): boolean {
    return this.#frameCount === 1 && !this.#skippable;
  }

  /** The bytes to decode, cut at the ends of frames. */
  push(chunk: Uint8Array): readonly Uint8Array[] | CodingFailure {
    const segments: Uint8Array[] = [];
    let start = 0;
    for (let at = 0; at < chunk.length; ) {
      if (this.#skipLength > 0) {
        const length = Math.min(this.#skipLength, chunk.length - at);
        this.#skipLength -= length;
        at += length;
        if (this.#skippable) start = at;
      } else {
        const length = Math.min(this.#neededLength - this.#heldLength, chunk.length - at);
        this.#held.set(chunk.subarray(at, at + length), this.#heldLength);
        this.#heldLength += length;
        at += length;
        // A magic number is passed on only when it is known to be that of a frame.
        if (this.#field === "magic" || this.#skippable) start = at;
        if (this.#heldLength < this.#neededLength) continue;
        const magic = this.#field === "magic" ? this.#held.slice(0, 4) : undefined;
        const code = this.#readField();
        if (code !== undefined) return codingFailure(code, "zstd");
        if (magic !== undefined && !this.#skippable) segments.push(magic);
      }
      if (this.#frameEnds()) {
        if (at > start) segments.push(chunk.subarray(start, at));
        start = at;
      }
    }
    if (start < chunk.length && !this.#skippable) segments.push(chunk.subarray(start));
    return segments;
  }

  #frameEnds(): boolean {
    if (this.#skipLength > 0 || this.#field !== "block_header" || !this.#lastBlock) return false;
    this.#expect("magic", 4);
    return true;
  }

  #readField(): ZstdFailureCode | undefined {
    switch (this.#field) {
      case "magic":
        return this.#readMagic();
      case "skippable_size":
        this.#skipLength = this.#uint32();
        this.#expect("magic", 4);
        return undefined;
      case "descriptor":
        return this.#readDescriptor();
      case "header":
        return this.#readHeader();
      case "block_header":
        return this.#readBlockHeader();
    }
  }

  #readMagic(): ZstdFailureCode | undefined {
    const magic = this.#uint32();
    this.#skippable = (magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC;
    if (this.#skippable) this.#expect("skippable_size", 4);
    else if (magic === FRAME_MAGIC) this.#expect("descriptor", 1);
    else return this.#frameCount > 0 ? "trailing_data" : "corrupt";
    this.#frameCount++;
    this.#lastBlock = false;
    return undefined;
  }

  #readDescriptor(): ZstdFailureCode | undefined {
    const [descriptor = 0] = this.#held;
    const isSingleSegment = (descriptor & 0x20) !== 0;
    this.#hasChecksum = (descriptor & 0x04) !== 0;
    // The descriptor is not removed: the fields after it cannot be read without it.
    const contentSizeBytes = descriptor >>> 6 === 0 ? Number(isSingleSegment) : 1 << (descriptor >>> 6);
    const dictionaryBytes = DICTIONARY_ID_BYTES[descriptor & 3] ?? 0;
    this.#field = "header";
    this.#neededLength = 1 + Number(!isSingleSegment) + dictionaryBytes + contentSizeBytes;
    return this.#neededLength === 1 ? this.#readHeader() : undefined;
  }

  #readHeader(): ZstdFailureCode | undefined {
    const [descriptor = 0, windowDescriptor = 0] = this.#held;
    const isSingleSegment = (descriptor & 0x20) !== 0;
    const base = 2 ** (10 + (windowDescriptor >>> 3));
    let windowBytes = base + (base / 8) * (windowDescriptor & 7);
    if (isSingleSegment) {
      windowBytes = 0;
      const sizeAt = 1 + (DICTIONARY_ID_BYTES[descriptor & 3] ?? 0);
      for (let at = this.#neededLength - 1; at >= sizeAt; at--) windowBytes = windowBytes * 256 + (this.#held[at] ?? 0);
      if (this.#neededLength - sizeAt === 2) windowBytes += 256;
    }
    if (windowBytes > MAX_WINDOW_BYTES) return "too_large";
    this.windowBytes = Math.max(this.windowBytes, windowBytes);
    this.#expect("block_header", 3);
    return undefined;
  }

  #readBlockHeader(): ZstdFailureCode | undefined {
    const [low = 0, middle = 0, high = 0] = this.#held;
    const header = low | (middle << 8) | (high << 16);
    const type = (header >>> 1) & 3;
    if (type === BLOCK_RESERVED) return "corrupt";
    this.#lastBlock = (header & 1) !== 0;
    this.#skipLength = type === BLOCK_RLE ? 1 : header >>> 3;
    if (this.#lastBlock && this.#hasChecksum) this.#skipLength += 4;
    this.#expect("block_header", 3);
    return undefined;
  }

  #expect(field: Field, length: number): void {
    this.#field = field;
    this.#heldLength = 0;
    this.#neededLength = length;
  }

  #uint32(): number {
    const [a = 0, b = 0, c = 0, d = 0] = this.#held;
    return (a | (b << 8) | (c << 16) | (d << 24)) >>> 0;
  }
}
