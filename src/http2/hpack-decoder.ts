import { ENTRY_OVERHEAD_BYTES, HeaderField } from "./header-field.ts";
import { HeaderList, HeaderListBuilder } from "./header-list.ts";
import { DynamicTable, invalidHpack } from "./hpack-dynamic-table.ts";
import { FragmentedBlock } from "./hpack-fragments.ts";
import { decodeHuffman } from "./hpack-huffman.ts";

/** SETTINGS_HEADER_TABLE_SIZE until the client has acknowledged the server's SETTINGS (RFC 9113 section 6.5.2). */
const INITIAL_TABLE_BYTES = 4096;
const MEMO_BYTES = 512;
const NOTHING = Buffer.alloc(0);

/** What decoding may cost; see Http2Limits. */
export interface HpackLimits {
  readonly headerTableBytes: number;
  readonly maxHeaderListBytes: number;
  readonly maxHeaderExpansionBytes: number;
}

/**
 * Decodes the header blocks of one connection (RFC 7541 sections 3 and 6). Every block must be decoded here in the
 * order of arrival, also those of refused streams, because they change the dynamic table that later blocks refer to.
 *
 * The last block that did not change the table is remembered. Until the table changes, equal bytes mean an equal list.
 * If a client opens thousands of equal streams, the block is decoded once.
 */
export class HpackDecoder {
  readonly #limits: HpackLimits;
  readonly #table: DynamicTable;
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #changedTable = false;
  readonly #memoBytes = new Uint8Array(MEMO_BYTES);
  #memoLength = -1;
  #memo: HeaderList | undefined;

  constructor(limits: HpackLimits) {
    this.#limits = limits;
    this.#table = new DynamicTable(INITIAL_TABLE_BYTES, Math.max(limits.headerTableBytes, INITIAL_TABLE_BYTES));
  }

  /** The client has acknowledged the server's SETTINGS: from now on its table is at most as large as announced. */
  settingsAcknowledged(): void {
    this.#table.limitTo(this.#limits.headerTableBytes);
  }

  /** Begins a block that comes in several frames. It must be complete before the next block. */
  begin(): FragmentedBlock {
    this.#memo = undefined;
    return new FragmentedBlock(this.#table, this.#limits);
  }

  /**
   * Decodes a block that came in one frame.
   *
   * @throws ConnectionError with COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for an HPACK bomb.
   */
  decode(bytes: Buffer, start: number, end: number): HeaderList {
    if (this.#memo !== undefined && end - start === this.#memoLength && this.#equalsMemo(bytes, start)) {
      return this.#memo;
    }
    this.#bytes = bytes;
    this.#at = start;
    this.#end = end;
    this.#changedTable = false;
    const list = this.#decodeFields();
    this.#bytes = NOTHING;
    if (this.#changedTable) this.#memo = undefined;
    else if (end - start <= MEMO_BYTES) this.#remember(bytes.subarray(start, end), list);
    return list;
  }

  #decodeFields(): HeaderList {
    const { maxHeaderListBytes, maxHeaderExpansionBytes } = this.#limits;
    const list = new HeaderListBuilder(maxHeaderListBytes, maxHeaderExpansionBytes);
    // Section 4.2: updates of the table's size come first in a block.
    while (this.#at < this.#end && ((this.#bytes[this.#at] ?? 0) & 0xe0) === 0x20) this.#resize(this.#integer(0x1f));
    if (this.#at < this.#end) this.#table.requireWithinLimit();
    while (this.#at < this.#end) {
      list.add(this.#field(this.#bytes[this.#at] ?? 0, list));
    }
    return new HeaderList(list);
  }

  /** Decodes one representation, which its first byte identifies (sections 6.1 and 6.2). */
  #field(first: number, list: HeaderListBuilder): HeaderField {
    if (first >= 0x80) {
      const entry = this.#table.entry(this.#integer(0x7f));
      list.expand(entry.sizeBytes);
      return entry;
    }
    if ((first & 0xe0) === 0x20) throw invalidHpack("a table size update after a field");
    const isIndexed = first >= 0x40;
    const nameIndex = this.#integer(isIndexed ? 0x3f : 0x0f);
    const name = nameIndex === 0 ? this.#string() : this.#table.entry(nameIndex).name;
    list.expand(nameIndex === 0 ? ENTRY_OVERHEAD_BYTES : name.length + ENTRY_OVERHEAD_BYTES);
    const field = new HeaderField(name, this.#string());
    if (isIndexed) {
      this.#changedTable = true;
      this.#table.insert(field);
    }
    return field;
  }

  /** Decodes a change of the table's size (section 6.3). */
  #resize(capacityBytes: number): void {
    this.#changedTable = true;
    this.#table.resize(capacityBytes);
  }

  /** Decodes an integer (section 5.1). No length or index needs more than 28 bits beyond the prefix. */
  #integer(mask: number): number {
    let value = (this.#bytes[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) throw invalidHpack("an integer ends early");
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw invalidHpack("an integer is too large");
  }

  /** Decodes a string (section 5.2). */
  #string(): string {
    if (this.#at >= this.#end) throw invalidHpack("a string is missing");
    const isHuffman = (this.#bytes[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(0x7f);
    const start = this.#at;
    if (length > this.#end - start) throw invalidHpack("a string ends early");
    this.#at = start + length;
    return isHuffman ? decodeHuffman(this.#bytes, start, this.#at) : this.#bytes.toString("latin1", start, this.#at);
  }

  #equalsMemo(bytes: Buffer, start: number): boolean {
    const memo = this.#memoBytes;
    for (let i = 0; i < this.#memoLength; i++) if (bytes[start + i] !== memo[i]) return false;
    return true;
  }

  #remember(block: Buffer, list: HeaderList): void {
    this.#memoBytes.set(block);
    this.#memoLength = block.length;
    this.#memo = list;
  }
}
