import { brotliLength, brotliWindowBytes } from "./brotli-length.ts";
import type { Coding } from "./content-encoding.ts";

/** Room for what coders and splitters hold. */
export interface CoderRoom {
  /** Counts bytes as held. False: they do not fit, and must not be held. */
  take(bytes: number): boolean;
  /** Counts bytes that were taken as free again. */
  give(bytes: number): void;
}

const KIB = 1 << 10;
const MIB = 1 << 20;

/** What a decoder holds in addition to its window: tables, a block, and 64 KiB that wait for their reader. */
const DECODER_STATE_BYTES: Readonly<Record<Coding, number>> = {
  gzip: 96 * KIB,
  deflate: 96 * KIB,
  // Text takes 150 KiB. A sender who makes 768 large Huffman tables reaches 2.7 MiB.
  br: 1536 * KIB,
  zstd: 512 * KIB,
};
const DEFLATE_WINDOW_BYTES = 32 * KIB;

/** Native memory of an encoder with the window that src/bodies/coding/engine.ts gives it, if each chunk is flushed. */
const ENCODER_BYTES: Readonly<Record<Coding, number>> = {
  gzip: 384 * KIB,
  deflate: 384 * KIB,
  br: 2 * MIB,
  zstd: 1536 * KIB,
};
/** If nothing is flushed, brotli gathers more before it produces output. */
const GATHERING_BROTLI_BYTES = 6 * MIB;

/**
 * Maximum native memory of a brotli decoder (RFC 7932 section 9.1), by the first bytes of the body: its window, or less
 * if the whole body is shorter.
 */
export function brotliDecoderBytes(head: Uint8Array): number {
  const windowBytes = brotliWindowBytes(head[0] ?? 0);
  const length = head.length < 4 ? undefined : brotliLength(head);
  return DECODER_STATE_BYTES.br + Math.min(windowBytes, 2 * (length ?? windowBytes));
}

/** Maximum native memory of a decoder of another coding, for the window that its frames declare. */
export function decoderBytes(coding: Exclude<Coding, "br">, zstdWindowBytes: number): number {
  return DECODER_STATE_BYTES[coding] + (coding === "zstd" ? zstdWindowBytes : DEFLATE_WINDOW_BYTES);
}

/** Maximum native memory of an encoder. */
export function encoderBytes(coding: Coding, flushes: boolean): number {
  return coding === "br" && !flushes ? GATHERING_BROTLI_BYTES : ENCODER_BYTES[coding];
}

/** The native memory of one coder, as its room counts it. */
export class CoderHold {
  readonly #room: CoderRoom | undefined;
  #bytes = 0;

  /** @param room Counts it. Undefined: it is not counted. */
  constructor(room: CoderRoom | undefined) {
    this.#room = room;
  }

  /** Counts the total bytes that the coder needs. False if they do not fit. */
  grow(bytes: number): boolean {
    if (bytes <= this.#bytes) return true;
    if (this.#room?.take(bytes - this.#bytes) === false) return false;
    this.#bytes = bytes;
    return true;
  }

  /** Stops counting: the coder is closed. */
  release(): void {
    if (this.#bytes > 0) this.#room?.give(this.#bytes);
    this.#bytes = 0;
  }
}
