/**
 * Why a body could not be split any further.
 *
 * - `invalid_utf8`: it is not UTF-8, and the caller wants nothing replaced.
 * - `line_too_long`, `event_too_large`: one item alone has more bytes than the caller allows.
 * - `match_too_long`: a pattern matches more bytes than the caller said it would.
 */
export type SplitFailureCode = "invalid_utf8" | "line_too_long" | "event_too_large" | "match_too_long";

/** Where splitting ended. */
export interface SplitFailure {
  readonly code: SplitFailureCode;
  /** What was taken and is in no item: whoever passes on every item's bytes and then these has lost nothing. */
  readonly rest: Uint8Array<ArrayBuffer>;
}

/** What a chunk brought: complete items, and what ended them, if anything did. */
export interface Split<Item> {
  readonly items: readonly Item[];
  readonly failure: SplitFailure | undefined;
}

/**
 * Cuts a body that comes in chunks into items, the same ones wherever the chunks end. Synchronous; holds back no more
 * than its limit and a chunk.
 *
 * After a failure each chunk comes back in it, as `rest`. Items may be views of the chunk they came in: it must not
 * change while they are in use, and they keep it in memory.
 */
export interface Splitter<Item> {
  push(chunk: Uint8Array): Split<Item>;
  /** The last items: what the end of the body completes. */
  end(): Split<Item>;
}

/** A body that could not be split, thrown by what iterates over it. Its message tells nothing of the bytes. */
export class SplitError extends Error {
  override readonly name = "SplitError";
  readonly failure: SplitFailure;

  constructor(failure: SplitFailure) {
    super(`the body cannot be read on: ${failure.code}`);
    this.failure = failure;
  }
}

/**
 * Iterates over the items of a body as they come.
 *
 * @throws {SplitError} Where splitting fails, after the last good item.
 *
 * @example
 * for await (const line of splitChunks(chunks, createLineSplitter())) count(line.text);
 */
export async function* splitChunks<Item>(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  splitter: Splitter<Item>,
): AsyncGenerator<Item, void, undefined> {
  for await (const chunk of chunks) yield* itemsOf(splitter.push(chunk));
  yield* itemsOf(splitter.end());
}

function* itemsOf<Item>({ items, failure }: Split<Item>): Generator<Item, void, undefined> {
  yield* items;
  if (failure !== undefined) throw new SplitError(failure);
}
