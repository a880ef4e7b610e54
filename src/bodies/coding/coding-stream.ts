import { plainBytes } from "../owned-bytes.ts";
import type { Deliver } from "./coder.ts";
import { type CodingFailure, codingFailure } from "./coding-failure.ts";

/** The output for a chunk; no pieces if all of it is held back for the next chunks. */
export interface CodedPieces {
  readonly kind: "pieces";
  /** Each has its own memory, to which nothing else writes. */
  readonly pieces: readonly Uint8Array<ArrayBuffer>[];
}

/** Called with the bytes of each chunk before it is processed; a failure is a failure of the whole body. */
export type Count = (bytes: number) => CodingFailure | undefined;

/** One coding within a {@link CodingStream}. */
export interface CodingLayer {
  push(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined>;
  end(deliver: Deliver): Promise<CodingFailure | undefined>;
  close(): void;
}

/**
 * A body on its way through its codings, chunk by chunk.
 *
 * One call at a time: wait for the result before the next call. That is also how back-pressure works. A pushed chunk must
 * not change until then. After a failure each call returns the same failure. If you stop before `end`, call `close`, or
 * native memory stays until the garbage collector runs.
 */
export class CodingStream {
  readonly #layers: readonly CodingLayer[];
  readonly #count: Count;
  #failure: CodingFailure | undefined;
  #isBusy = false;
  #ended = false;

  /** @param layers In the order in which bytes pass through them. */
  constructor(layers: readonly CodingLayer[], count: Count) {
    this.#layers = layers;
    this.#count = count;
  }

  /** Takes a chunk, and returns the output. Without codings it returns no promise. */
  push(chunk: Uint8Array): CodedPieces | CodingFailure | Promise<CodedPieces | CodingFailure> {
    if (this.#layers.length === 0) {
      this.#failure ??= this.#count(chunk.length);
      return this.#failure ?? { kind: "pieces", pieces: chunk.length === 0 ? [] : [plainBytes(chunk)] };
    }
    return this.#collect((deliver) => this.pushTo(chunk, deliver));
  }

  /** Collects what is left, and frees everything. */
  end(): CodedPieces | CodingFailure | Promise<CodedPieces | CodingFailure> {
    if (this.#layers.length === 0) return this.#failure ?? { kind: "pieces", pieces: [] };
    return this.#collect((deliver) => this.endTo(deliver));
  }

  /** Feeds a chunk, and delivers each piece as it comes: what `deliver` returns holds back the next one. */
  pushTo(chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> {
    return this.#run(async () => {
      const failure = this.#count(chunk.length);
      return failure === undefined && chunk.length > 0 ? this.#pushFrom(0, chunk, deliver) : failure;
    });
  }

  /** Delivers what is left, and frees everything. */
  endTo(deliver: Deliver): Promise<CodingFailure | undefined> {
    return this.#run(async () => {
      this.#ended = true;
      for (const [index, layer] of this.#layers.entries()) {
        const failure = await layer.end((piece) => this.#pushFrom(index + 1, piece, deliver));
        if (failure !== undefined) return failure;
      }
      return undefined;
    });
  }

  /** Frees everything. A call under way ends with the failure `closed`; after `end` it does nothing. */
  close(): void {
    this.#failure ??= codingFailure("closed", "identity");
    for (const layer of this.#layers) layer.close();
  }

  #pushFrom(index: number, chunk: Uint8Array, deliver: Deliver): Promise<CodingFailure | undefined> | undefined {
    const layer = this.#layers[index];
    if (layer === undefined) return deliver(plainBytes(chunk));
    return layer.push(chunk, (piece) => this.#pushFrom(index + 1, piece, deliver));
  }

  async #run(work: () => Promise<CodingFailure | undefined>): Promise<CodingFailure | undefined> {
    if (this.#failure !== undefined) return this.#failure;
    if (this.#isBusy) throw new TypeError("the last chunk is still on its way: wait for push() before the next call");
    if (this.#ended) throw new TypeError("nothing may follow end()");
    this.#isBusy = true;
    try {
      const failure = await work();
      this.#failure ??= failure;
    } finally {
      this.#isBusy = false;
    }
    if (this.#failure !== undefined) this.close();
    return this.#failure;
  }

  async #collect(work: (deliver: Deliver) => Promise<CodingFailure | undefined>): Promise<CodedPieces | CodingFailure> {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    const failure = await work((piece) => {
      pieces.push(piece);
      return undefined;
    });
    return failure ?? { kind: "pieces", pieces };
  }
}
