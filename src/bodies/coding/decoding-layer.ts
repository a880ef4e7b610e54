import { Coder, type Deliver } from "./coder.ts";
import { brotliDecoderBytes, CoderHold, type CoderRoom, decoderBytes } from "./coder-memory.ts";
import { type CodingFailure, codingFailure, engineFailure } from "./coding-failure.ts";
import type { Coding } from "./content-encoding.ts";
import { createDecodingEngine, deflateFormat, type Format } from "./engine.ts";
import type { OutputLimit } from "./output-limit.ts";
import { ZstdFrames } from "./zstd-frames.ts";

/** How many bytes at the beginning are needed: zlib's header has two, gzip's fixed part four. */
const HEAD_BYTES = 4;
/** Encoders use a window of 4 MiB by default. A decoder with a larger one takes up to 35 ms for its first output. */
const LARGE_DECODER_BYTES = 6 << 20;

/**
 * Decodes one coding of a body. It has no native memory before the first byte and after the last call of {@link end} or
 * {@link close}. An empty body has nothing to decode: servers declare a coding for empty bodies too.
 */
export class DecodingLayer {
  readonly #coding: Coding;
  readonly #limit: OutputLimit;
  readonly #frames: ZstdFrames | undefined;
  readonly #head = new Uint8Array(HEAD_BYTES);
  #headLength = 0;
  /** Bytes of a deflate body that do not show its format yet. */
  #held = 0;
  readonly #memory: CoderHold;
  #coder: Coder | undefined;
  #failure: CodingFailure | undefined;

  /** @param room Counts its native memory. Default: it is not counted. */
  constructor(coding: Coding, limit: OutputLimit, room?: CoderRoom) {
    this.#coding = coding;
    this.#memory = new CoderHold(room);
    this.#limit = limit;
    this.#frames = coding === "zstd" ? new ZstdFrames() : undefined;
  }

  /** Decodes a chunk, and delivers what came out. */
  async push(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> {
    if (this.#failure !== undefined || chunk.length === 0) return this.#failure;
    this.#keepHead(chunk);
    if (this.#coding === "deflate" && this.#coder === undefined) {
      if (this.#headLength < 2) {
        this.#held = 1;
        return undefined;
      }
      if (this.#held > 0) {
        this.#held = 0;
        const failure = await this.#feed(this.#head.slice(0, 1), deliver);
        if (failure !== undefined) return failure;
      }
    }
    if (this.#frames === undefined) return this.#feed(chunk, deliver);
    const segments = this.#frames.push(chunk);
    if ("kind" in segments) return this.#fail(segments);
    for (const segment of segments) {
      const failure = await this.#feed(segment, deliver);
      if (failure !== undefined) return failure;
    }
    return undefined;
  }

  /** Delivers the rest of the output, and checks whether the body was complete. */
  async end(deliver: Deliver): Promise<CodingFailure | undefined> {
    if (this.#failure !== undefined) return this.#failure;
    const isTruncated = this.#held > 0 || this.#frames?.atFrameEnd === false;
    if (isTruncated) return this.#fail(codingFailure("truncated", this.#coding));
    const failure = await this.#coder?.end(deliver);
    this.#coder = undefined;
    this.#memory.release();
    return failure;
  }

  /** Frees its memory. A running call ends with the failure `closed`. */
  close(): void {
    this.#fail(codingFailure("closed", this.#coding));
  }

  #feed(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> | CodingFailure {
    if (this.#failure !== undefined) return this.#failure;
    // A later frame may have a larger window.
    if (this.#coder === undefined || this.#frames !== undefined) {
      if (!this.#memory.grow(this.#memoryBytes)) return this.#fail(codingFailure("no_room", this.#coding));
    }
    this.#coder ??= this.#createCoder();
    return this.#coder?.push(chunk, deliver) ?? this.#fail(engineFailure(this.#coding));
  }

  get #memoryBytes(): number {
    if (this.#coding === "br") return brotliDecoderBytes(this.#head.subarray(0, this.#headLength));
    return decoderBytes(this.#coding, this.#frames?.windowBytes ?? 0);
  }

  #createCoder(): Coder | undefined {
    const engine = createDecodingEngine(this.#format());
    if (engine === undefined) return undefined;
    return new Coder({
      coding: this.#coding,
      engine,
      use: (bytes) => this.#limit.use(bytes),
      restsAfterStep: this.#coding === "br" && this.#memoryBytes > LARGE_DECODER_BYTES,
      gzipBegan: () => this.#gzipBegan(),
    });
  }

  #format(): Format {
    const [first = 0, second = 0] = this.#head;
    return this.#coding === "deflate" ? deflateFormat(first, second) : this.#coding;
  }

  #keepHead(chunk: Uint8Array): void {
    if (this.#headLength === HEAD_BYTES) return;
    const part = chunk.subarray(0, HEAD_BYTES - this.#headLength);
    this.#head.set(part, this.#headLength);
    this.#headLength += part.length;
  }

  #gzipBegan(): boolean {
    return this.#coding === "gzip" && this.#headLength === HEAD_BYTES && isGzipHead(this.#head);
  }

  #fail(failure: CodingFailure): CodingFailure {
    this.#failure ??= failure;
    this.#coder?.fail(this.#failure);
    this.#coder = undefined;
    this.#memory.release();
    return this.#failure;
  }
}

/** RFC 1952 section 2.3: magic number, deflate, and no reserved flag. */
export function isGzipHead([a = 0, b = 0, method = 0, flags = 0]: Uint8Array): boolean {
  return a === 0x1f && b === 0x8b && method === 8 && (flags & 0xe0) === 0;
}
