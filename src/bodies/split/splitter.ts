import { joinBytes, plainBytes } from "../owned-bytes.ts";
import { holdingIn, roomOf, withRoom } from "./held-bytes.ts";

/**
 * Why a body could not be split any further.
 *
 * - `invalid_utf8`: it is not UTF-8, and the caller does not want replacement characters.
 * - `line_too_long`, `event_too_large`: one item alone has more bytes than the caller allows.
 * - `match_too_long`: a pattern matches more bytes than its `maxMatchBytes`.
 * - `no_room`: the beginning of an item would exceed what the server may hold of bodies.
 */
export type SplitErrorCode = "invalid_utf8" | "line_too_long" | "event_too_large" | "match_too_long" | "no_room";

const SPLIT_ERROR: unique symbol = Symbol.for("ext-proc.split-error");

/**
 * Thrown if a body cannot be split any further, after the last valid item. A body handler that does not catch it gets the
 * fault `body_undecodable`, or `body_memory_exceeded` for `no_room`, or `handler_threw` for `match_too_long`, since the
 * handler's own pattern is wrong then. The message contains no bytes of the body.
 */
export class SplitError extends Error {
  override readonly name = "SplitError";
  readonly code: SplitErrorCode;
  readonly [SPLIT_ERROR] = true;
  /** Bytes that were taken and are in no item. A handler that passes on the bytes of every item, and then these, loses nothing. */
  readonly rest: Uint8Array<ArrayBuffer>;

  constructor(code: SplitErrorCode, rest: Uint8Array<ArrayBuffer>) {
    super(`the body cannot be read on: ${code}`);
    this.code = code;
    this.rest = rest;
  }

  /** True for a SplitError of any copy of this library: a global command line may load a local processor. */
  static is(value: unknown): value is SplitError {
    return typeof value === "object" && value !== null && SPLIT_ERROR in value;
  }
}

/**
 * Cuts a body that comes in chunks into items, which do not depend on where the chunks end. It is synchronous, and holds back
 * at most its limit and a chunk. Create one for each body, in `state`.
 *
 * Items may be views of their chunk: the chunk must not change while they are in use, and they keep it in memory.
 */
export interface Splitter<Item> {
  /**
   * Takes a chunk, and returns the items that it completes.
   *
   * @throws {SplitError} If splitting fails, after all valid items were returned. Each later chunk comes back in another error.
   */
  push(chunk: Uint8Array): readonly Item[];
  /**
   * Returns the last items, which the end of the body completes.
   *
   * @throws {SplitError} If splitting failed and bytes were not given back.
   */
  end(): readonly Item[];
}

/** Chunks of a body, as a `stream` handler gets them, or from a test. */
export type BodyChunks = AsyncIterable<Uint8Array> | Iterable<Uint8Array>;

/**
 * Iterates over the items of a body as they come.
 *
 * @throws {SplitError} If splitting fails, after the last valid item.
 */
export function splitChunks<Item>(chunks: BodyChunks, splitter: Splitter<Item>): AsyncGenerator<Item, void, undefined> {
  return withRoom(splitIn(chunks, splitter), roomOf(chunks));
}

async function* splitIn<Item>(chunks: BodyChunks, splitter: Splitter<Item>): AsyncGenerator<Item, void, undefined> {
  const room = roomOf(chunks);
  for await (const chunk of chunks) yield* holdingIn(room, () => splitter.push(chunk));
  yield* splitter.end();
}

const EMPTY = new Uint8Array(0);

/** A failure that is thrown only after all valid items were returned, so that a caller gets both. */
export class SplitEnd {
  #code: SplitErrorCode | undefined;
  #rest: Uint8Array<ArrayBuffer> = EMPTY;

  /** Ends splitting. `given` is what the current call also returns: if that is empty, the failure is thrown at once. */
  fail(code: SplitErrorCode, rest: Uint8Array<ArrayBuffer>, given: { readonly length: number }): void {
    this.#code = code;
    this.#rest = rest;
    if (given.length === 0) this.check(EMPTY);
  }

  /** Call it with each chunk: throws the chunk back if splitting has failed. */
  check(chunk: Uint8Array): void {
    if (this.#code === undefined) return;
    const rest = this.#rest.length === 0 ? plainBytes(chunk) : joinBytes([this.#rest, plainBytes(chunk)]);
    this.#rest = EMPTY;
    throw new SplitError(this.#code, rest);
  }

  /** Call it at the end: throws if something was held back. */
  checkEnd(): void {
    if (this.#rest.length > 0) this.check(EMPTY);
  }
}
