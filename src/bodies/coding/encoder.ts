import { Coder, type Deliver } from "./coder.ts";
import { CoderHold, type CoderRoom, encoderBytes } from "./coder-memory.ts";
import { type CodingFailure, codingFailure, engineFailure } from "./coding-failure.ts";
import { type CodingLayer, CodingStream } from "./coding-stream.ts";
import type { Coding } from "./content-encoding.ts";
import { createEncodingEngine } from "./engine.ts";

/** How a streaming encoder behaves. */
export interface EncoderOptions {
  /**
   * `chunk` (default): the output for a chunk comes at once and complete, so that a recipient can decode up to there. It
   * costs about 5 bytes per chunk, and nothing is held back: use it for responses that last for hours. `end`: output comes
   * when the library has enough; use it for bodies that a recipient reads as a whole.
   */
  readonly flush?: "chunk" | "end" | undefined;
  /** Counts the native memory of each coding. Default: it is not counted. */
  readonly room?: CoderRoom | undefined;
}

/**
 * Encodes a body that comes in chunks. Each coding has native memory until `end` or `close`: 384 KiB for gzip and
 * deflate, about 2 MiB for br and zstd. Its failures are `closed`, `engine_failed`, `no_room` and `unsupported_coding`.
 *
 * @param codings In the order in which they are applied: `["gzip", "br"]` becomes `content-encoding: gzip, br`.
 */
export function createEncoder(
  codings: readonly Coding[],
  { flush = "chunk", room }: EncoderOptions = {},
): CodingStream {
  return new CodingStream(
    codings.map((coding) => new EncodingLayer(coding, flush === "chunk", room)),
    () => undefined,
  );
}

/** Encodes one coding of a body. */
class EncodingLayer implements CodingLayer {
  readonly #coding: Coding;
  readonly #flushes: boolean;
  readonly #memory: CoderHold;
  #coder: Coder | undefined;
  #failure: CodingFailure | undefined;

  constructor(coding: Coding, flushes: boolean, room: CoderRoom | undefined) {
    this.#memory = new CoderHold(room);
    this.#coding = coding;
    this.#flushes = flushes;
  }

  async push(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> {
    return this.#failure ?? this.#start()?.push(chunk, deliver) ?? this.#failure;
  }

  /** An empty body is encoded too. */
  async end(deliver: Deliver): Promise<CodingFailure | undefined> {
    if (this.#failure !== undefined) return this.#failure;
    const failure = await this.#start()?.end(deliver);
    this.#coder = undefined;
    this.#memory.release();
    return failure ?? this.#failure;
  }

  close(): void {
    this.#fail(codingFailure("closed", this.#coding));
  }

  #start(): Coder | undefined {
    if (this.#coder !== undefined) return this.#coder;
    if (!this.#memory.grow(encoderBytes(this.#coding, this.#flushes))) {
      this.#fail(codingFailure("no_room", this.#coding));
      return undefined;
    }
    const engine = createEncodingEngine(this.#coding, this.#flushes);
    if (engine !== undefined) this.#coder = new Coder({ coding: this.#coding, engine });
    else this.#fail(engineFailure(this.#coding));
    return this.#coder;
  }

  #fail(failure: CodingFailure): void {
    this.#failure ??= failure;
    this.#coder?.fail(this.#failure);
    this.#coder = undefined;
    this.#memory.release();
  }
}
