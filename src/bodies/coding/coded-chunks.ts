import { CodingError, type CodingFailure } from "./coding-failure.ts";
import type { Deliver } from "./coding-stage.ts";
import type { CodingStream } from "./coding-stream.ts";

type Piece = Uint8Array<ArrayBuffer>;

/**
 * A body decoded or encoded while it is iterated over. Nothing is done ahead: the next 64 KiB are made when the last are
 * taken, and the next chunk is asked for when nothing is left of the last. So a slow reader costs no memory, whatever a
 * chunk becomes. Frees everything at its end, also an early one.
 *
 * @throws {CodingError} Where coding fails, after the last good piece.
 *
 * @example
 * for await (const piece of codedChunks(chunks, createDecoder(["br"], { maxBytes: 100 << 20 }))) look(piece);
 */
export async function* codedChunks(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  stream: CodingStream,
): AsyncGenerator<Piece, void, undefined> {
  try {
    for await (const chunk of chunks) yield* new Handover((deliver) => stream.pushTo(chunk, deliver)).pieces();
    yield* new Handover((deliver) => stream.endTo(deliver)).pieces();
  } finally {
    stream.close();
  }
}

/** Makes one piece after the other of what delivers them. */
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

  async *pieces(): AsyncGenerator<Piece, void, undefined> {
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
    const failure = await this.#work;
    if (failure !== undefined) throw new CodingError(failure);
  }

  #offer(piece: Piece): Promise<undefined> {
    return new Promise((resolve) => {
      this.#piece = piece;
      this.#taken = resolve;
      this.#change?.();
    });
  }
}
