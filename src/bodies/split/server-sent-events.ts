import { utf8MarkLength } from "../../text/charset.ts";
import { HeldBytes } from "./held-bytes.ts";
import { LineEnds } from "./line-ends.ts";
import { ServerSentEvent } from "./server-sent-event.ts";
import { type BodyChunks, SplitEnd, type SplitErrorCode, type Splitter, splitChunks } from "./splitter.ts";

/** How an event stream is read. */
export interface SseOptions {
  /** The largest event with all its lines. Default 1 MiB. */
  readonly maxEventBytes?: number | undefined;
}

const COLON = 0x3a;
const EMPTY = new Uint8Array(0);

/**
 * Cuts a `text/event-stream` into events (WHATWG HTML section 9.2.6), each with its raw bytes: a handler that passes them
 * on has changed nothing. An event that is larger than allowed is a `SplitError`, `event_too_large`.
 *
 * An item is a block of lines, including the empty line that ends it. Comment lines at the beginning of a block are
 * separate items and come at once, since servers send them to keep connections alive. An empty line outside of a block is
 * a separate item too. An item that the end of the body cuts off is not `complete`.
 *
 * @example
 * state: () => ({ events: createSseSplitter(), count: 0 }),
 * responseBody: {
 *   read: "inspect",
 *   chunk(bytes, { state }) {
 *     for (const event of state.events.push(bytes)) if (event.data !== undefined) state.count++;
 *   },
 * },
 */
export function createSseSplitter(options: SseOptions = {}): Splitter<ServerSentEvent> {
  return new SseSplitter(options);
}

/**
 * The events of a body, as {@link createSseSplitter} gives them.
 *
 * @throws {SplitError} `event_too_large`.
 *
 * @example
 * async *handle(chunks) {
 *   for await (const event of sseEvents(chunks))
 *     yield event.data === undefined ? event.raw : event.withData(changed(event.data));
 * }
 */
export function sseEvents(
  chunks: BodyChunks,
  options: SseOptions = {},
): AsyncGenerator<ServerSentEvent, void, undefined> {
  return splitChunks(chunks, createSseSplitter(options));
}

class SseSplitter implements Splitter<ServerSentEvent> {
  readonly #maxEventBytes: number;
  readonly #ends = new LineEnds({ loneCarriageReturn: true });
  readonly #held = new HeldBytes();
  /** How many of the held bytes belong to complete lines. */
  #heldLinesLength = 0;
  #began = false;
  readonly #failure = new SplitEnd();

  constructor({ maxEventBytes = 1 << 20 }: SseOptions) {
    this.#maxEventBytes = maxEventBytes;
  }

  push(chunk: Uint8Array): readonly ServerSentEvent[] {
    this.#failure.check(chunk);
    const heldLength = this.#held.length;
    const bytes = this.#held.join(chunk);
    const items: ServerSentEvent[] = [];
    let blockStart = 0;
    let lineStart = this.#heldLinesLength;
    this.#ends.begin(bytes, heldLength, lineStart);
    while (this.#ends.next()) {
      const { contentEnd, end } = this.#ends;
      const contentStart = this.#contentStart(bytes, lineStart, blockStart);
      const isComment = lineStart === blockStart && bytes[contentStart] === COLON;
      lineStart = end;
      if (contentEnd > contentStart && !isComment) continue;
      if (end - blockStart > this.#maxEventBytes) return this.#fail(items, bytes.slice(blockStart));
      items.push(this.#event(bytes.subarray(blockStart, end), true));
      blockStart = end;
    }
    if (bytes.length - blockStart > this.#maxEventBytes) return this.#fail(items, bytes.slice(blockStart));
    this.#heldLinesLength = lineStart - blockStart;
    // Thrown at once: until the next chunk all of it would be held without being counted. So no item is returned.
    if (!this.#held.keep(bytes, blockStart)) return this.#fail([], bytes.slice(), "no_room");
    return items;
  }

  end(): readonly ServerSentEvent[] {
    this.#failure.checkEnd();
    const linesLength = this.#heldLinesLength;
    const bytes = this.#held.take();
    if (bytes.length === 0) return [];
    // A CR that waited for its LF ended a line after all, and perhaps the block.
    const last = bytes.subarray(this.#contentStart(bytes, linesLength, 0));
    const endsLine = last.at(-1) === 13;
    const isComplete = endsLine && (last.length === 1 || (linesLength === 0 && last[0] === COLON));
    return [this.#event(bytes, isComplete)];
  }

  #event(raw: Uint8Array<ArrayBuffer>, complete: boolean): ServerSentEvent {
    const event = new ServerSentEvent(raw, { complete, first: !this.#began });
    this.#began = true;
    return event;
  }

  /** The offset at which a line begins, after the byte order mark that the first line may have. */
  #contentStart(bytes: Uint8Array, lineStart: number, blockStart: number): number {
    const isFirst = !this.#began && lineStart === blockStart;
    return isFirst ? lineStart + utf8MarkLength(bytes, lineStart) : lineStart;
  }

  #fail(
    items: readonly ServerSentEvent[],
    rest: Uint8Array<ArrayBuffer>,
    code: SplitErrorCode = "event_too_large",
  ): readonly ServerSentEvent[] {
    this.#held.keep(EMPTY, 0);
    this.#failure.fail(code, rest, items);
    return items;
  }
}
