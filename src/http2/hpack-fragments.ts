import { ENTRY_OVERHEAD_BYTES, HeaderField } from "./header-field.ts";
import { HeaderList, HeaderListBuilder } from "./header-list.ts";
import { type DynamicTable, invalidHpack } from "./hpack-dynamic-table.ts";
import { decodeHuffman, HuffmanCounter } from "./hpack-huffman.ts";

const NOTHING = Buffer.alloc(0);

/** Limits of one block; see Http2Limits. */
export interface BlockLimits {
  readonly maxHeaderListBytes: number;
  readonly maxHeaderExpansionBytes: number;
}

/** A decoder that stops at the end of the bytes, and continues when there are more. */
type Steps<T> = Generator<undefined, T, undefined>;

/**
 * Decodes a header block that comes in several frames, frame by frame. A block of any length is decoded to its end,
 * because it changes the dynamic table that later blocks refer to. Strings that fit neither the list nor the table are
 * checked and counted, not kept. So memory stays within a few times maxHeaderListBytes, and the work for each byte is
 * constant. Every method throws a ConnectionError for bytes that are not HPACK.
 */
export class FragmentedBlock {
  readonly #table: DynamicTable;
  readonly #list: HeaderListBuilder;
  readonly #steps: Steps<void>;
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #isComplete = false;

  constructor(table: DynamicTable, { maxHeaderListBytes, maxHeaderExpansionBytes }: BlockLimits) {
    this.#table = table;
    this.#list = new HeaderListBuilder(maxHeaderListBytes, maxHeaderExpansionBytes);
    this.#steps = this.#decode();
  }

  /** Takes the next piece. The caller may reuse its memory after this call. */
  add(bytes: Buffer, start: number, end: number): void {
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#steps.next();
    this.#bytes = NOTHING;
  }

  /** Ends the block. */
  finish(): HeaderList {
    this.#isComplete = true;
    this.#steps.next();
    return new HeaderList(this.#list);
  }

  *#decode(): Steps<void> {
    let mayResize = true;
    while (yield* this.#hasMore()) {
      const first = yield* this.#byte();
      if ((first & 0xe0) === 0x20) {
        if (!mayResize) throw invalidHpack("a table size update after a field");
        this.#table.resize(yield* this.#integer(first, 0x1f));
        continue;
      }
      if (mayResize) this.#table.requireWithinLimit();
      mayResize = false;
      if (first < 0x80) {
        yield* this.#literal(first);
        continue;
      }
      const entry = this.#table.entry(yield* this.#integer(first, 0x7f));
      this.#list.expand(entry.sizeBytes);
      this.#list.add(entry);
    }
  }

  /** Decodes a literal field (RFC 7541 section 6.2). */
  *#literal(first: number): Steps<void> {
    const isIndexed = first >= 0x40;
    const nameIndex = yield* this.#integer(first, isIndexed ? 0x3f : 0x0f);
    const known = nameIndex === 0 ? undefined : this.#table.entry(nameIndex).name;
    this.#list.expand((known?.length ?? 0) + ENTRY_OVERHEAD_BYTES);
    const name = known ?? (yield* this.#string(isIndexed));
    const value = yield* this.#string(isIndexed);
    if (typeof name === "string" && typeof value === "string") {
      const field = new HeaderField(name, value);
      if (isIndexed) this.#table.insert(field);
      this.#list.add(field);
      return;
    }
    if (isIndexed) this.#table.insertOversized();
    this.#list.addDropped(lengthOf(name) + lengthOf(value) + ENTRY_OVERHEAD_BYTES);
  }

  /** Decodes a string (RFC 7541 section 5.2). Returns only its length if it fits neither the list nor the table. */
  *#string(isIndexed: boolean): Steps<string | number> {
    const first = yield* this.#byte();
    const isHuffman = first >= 0x80;
    const length = yield* this.#integer(first, 0x7f);
    // The longest Huffman code has 30 bits, and padding up to 7.
    const leastLength = isHuffman ? Math.max(0, Math.floor((length * 8 - 7) / 30)) : length;
    const isKept = this.#list.hasRoomFor(leastLength) || (isIndexed && leastLength <= this.#table.capacityBytes);
    if (!isKept) return yield* this.#count(length, isHuffman);
    const bytes = yield* this.#take(length);
    return isHuffman ? decodeHuffman(bytes, 0, bytes.length) : bytes.toString("latin1");
  }

  *#take(length: number): Steps<Buffer> {
    const parts: Buffer[] = [];
    for (let left = length; left > 0; ) {
      const taken = yield* this.#piece(left);
      // A copy: the rest can come late, and the socket's buffer must not be kept until then.
      parts.push(Buffer.from(this.#bytes.subarray(this.#at - taken, this.#at)));
      left -= taken;
    }
    return Buffer.concat(parts);
  }

  *#count(length: number, isHuffman: boolean): Steps<number> {
    const counter = isHuffman ? new HuffmanCounter() : undefined;
    for (let left = length; left > 0; ) {
      const taken = yield* this.#piece(left);
      counter?.add(this.#bytes, this.#at - taken, this.#at);
      left -= taken;
    }
    counter?.finish();
    return counter?.length ?? length;
  }

  /** Skips at most `most` bytes of a string, and returns how many it skipped. */
  *#piece(most: number): Steps<number> {
    if (!(yield* this.#hasMore())) throw invalidHpack("a string ends early");
    const taken = Math.min(most, this.#end - this.#at);
    this.#at += taken;
    return taken;
  }

  /** Decodes an integer (RFC 7541 section 5.1). No length or index needs more than 28 bits beyond the prefix. */
  *#integer(first: number, mask: number): Steps<number> {
    let value = first & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      const byte = yield* this.#byte();
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw invalidHpack("an integer is too large");
  }

  *#byte(): Steps<number> {
    if (!(yield* this.#hasMore())) throw invalidHpack("a field ends early");
    return this.#bytes[this.#at++] ?? 0;
  }

  /** Waits for more bytes if there are none left. Returns false if the block is complete. */
  *#hasMore(): Steps<boolean> {
    while (this.#at === this.#end && !this.#isComplete) yield;
    return this.#at < this.#end;
  }
}

function lengthOf(text: string | number): number {
  return typeof text === "string" ? text.length : text;
}
