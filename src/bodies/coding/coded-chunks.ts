import type { Deliver } from "./coder.ts";
import { CodingError, type CodingFailure } from "./coding-failure.ts";
import type { CodingStream } from "./coding-stream.ts";

type Piece = Uint8Array<ArrayBuffer>;

/**
 * Decodes or encodes a body while a caller iterates over it. It does not work ahead: it produces the next 64 KiB when the
 * last were taken, and takes the next chunk when nothing is left of the last. So a slow reader costs no memory, however
 * large a decoded chunk is. It frees everything at its end, also at an early end.
 *
 * @throws {CodingError} If coding fails, after the last valid piece.
 *
 * @example
 * for await (const piece of codedChunks(chunks, createDecoder(["br"], { maxBytes: 100 << 20 }))) look(piece);
 */
export async function* codedChunks(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  stream: CodingStream,
): AsyncGenerator<Piece, void, undefined> {
  try {
    for await (const chunk of chunks) throwIf(yield* handOver((deliver) => stream.pushTo(chunk, deliver)));
    throwIf(yield* handOver((deliver) => stream.endTo(deliver)));
  } finally {
    stream.close();
  }
}

function throwIf(failure: CodingFailure | undefined): void {
  if (failure !== undefined) throw new CodingError(failure);
}

/** Pieces, and the failure that ended them; undefined if nothing failed. */
export type HandedOver = AsyncGenerator<Piece, CodingFailure | undefined, undefined>;

/** Begins work that delivers pieces, and hands them over one by one. It waits until the next piece is requested. */
export function handOver(work: (deliver: Deliver) => Promise<CodingFailure | undefined>): HandedOver {
  return new Handover(work).pieces();
}

/** Hands over pieces one by one from a source that delivers them. */
class Handover {
  #piece: Piece | undefined;
  #taken: ((nothing: undefined) => void) | undefined;
  #isOver = false;
  #change: (() => void) | undefined;
  readonly #work: Promise<CodingFailure | undefined>;

  constructor(work: (deliver: Deliver) => Promise<CodingFailure | undefined>) {
    this.#work = work((piece) => this.#offer(piece)).finally(() => {
      this.#isOver = true;
      this.#change?.();
    });
    // It is awaited in the end, unless the reader leaves.
    this.#work.catch(() => {});
  }

  async *pieces(): HandedOver {
    while (true) {
      if (this.#piece !== undefined) {
        yield this.#piece;
        this.#piece = undefined;
        this.#taken?.(undefined);
      } else if (this.#isOver) {
        break;
      } else {
        await new Promise<void>((resolve) => {
          this.#change = resolve;
        });
      }
    }
    return await this.#work;
  }

  #offer(piece: Piece): Promise<undefined> {
    return new Promise((resolve) => {
      this.#piece = piece;
      this.#taken = resolve;
      this.#change?.();
    });
  }
}
