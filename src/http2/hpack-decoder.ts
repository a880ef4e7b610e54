import { ConnectionError } from "./end-reason.ts";
import { COMPRESSION_ERROR, ENHANCE_YOUR_CALM } from "./error-codes.ts";
import { HeaderField } from "./header-field.ts";
import { HeaderList, HeaderListBuilder } from "./header-list.ts";
import { DynamicTable } from "./hpack-dynamic-table.ts";
import { decodeHuffman } from "./hpack-huffman.ts";
import { STATIC_TABLE } from "./hpack-static-table.ts";

/** SETTINGS_HEADER_TABLE_SIZE until the peer has acknowledged ours (RFC 9113 section 6.5.2). */
const INITIAL_TABLE_BYTES = 4096;
const MEMO_BYTES = 512;
const NOTHING = Buffer.alloc(0);

/** What decoding may cost; see Http2Limits. */
export interface HpackLimits {
  readonly headerTableBytes: number;
  readonly maxHeaderListBytes: number;
  readonly maxDecodedHeaderBytes: number;
}

/**
 * Decodes the header blocks of one connection (RFC 7541 sections 3 and 6). Every block has to come by here in the order
 * of arrival, those of refused streams too: they change the dynamic table that later blocks refer to.
 *
 * The last block that left the table unchanged is remembered. Until the table changes, equal bytes mean an equal list:
 * a client that opens thousands of like streams is decoded once.
 */
export class HpackDecoder {
  readonly #limits: HpackLimits;
  readonly #table = new DynamicTable(INITIAL_TABLE_BYTES);
  #maxTableBytes: number;
  #bytes: Buffer = NOTHING;
  #at = 0;
  #end = 0;
  #changedTable = false;
  readonly #memoBytes = new Uint8Array(MEMO_BYTES);
  #memoLength = -1;
  #memo: HeaderList | undefined;

  constructor(limits: HpackLimits) {
    this.#limits = limits;
    this.#maxTableBytes = Math.max(limits.headerTableBytes, INITIAL_TABLE_BYTES);
  }

  /** The peer has acknowledged our SETTINGS: from now on its table is as large as we said, or smaller. */
  settingsAcknowledged(): void {
    this.#maxTableBytes = this.#limits.headerTableBytes;
  }

  /** @throws ConnectionError with COMPRESSION_ERROR, or ENHANCE_YOUR_CALM for an HPACK bomb. */
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
    const list = new HeaderListBuilder(this.#limits.maxHeaderListBytes);
    // Section 4.2: updates of the table's size come first in a block.
    while (this.#at < this.#end && ((this.#bytes[this.#at] ?? 0) & 0xe0) === 0x20) this.#resize(this.#integer(0x1f));
    if (this.#table.capacityBytes > this.#maxTableBytes && this.#at < this.#end) {
      throw invalid("the table was not reduced to SETTINGS_HEADER_TABLE_SIZE");
    }
    while (this.#at < this.#end) {
      list.add(this.#field(this.#bytes[this.#at] ?? 0));
      if (list.sizeBytes > this.#limits.maxDecodedHeaderBytes) {
        throw new ConnectionError(ENHANCE_YOUR_CALM, "hpack_bomb", `a header block of over ${list.sizeBytes} bytes`);
      }
    }
    return new HeaderList(list);
  }

  /** One representation, by its first byte (sections 6.1 and 6.2). */
  #field(first: number): HeaderField {
    if (first >= 0x80) return this.#entry(this.#integer(0x7f));
    if ((first & 0xe0) === 0x20) throw invalid("a table size update after a field");
    const isIndexed = first >= 0x40;
    const nameIndex = this.#integer(isIndexed ? 0x3f : 0x0f);
    const name = nameIndex === 0 ? this.#string() : this.#entry(nameIndex).name;
    const field = new HeaderField(name, this.#string());
    if (isIndexed) {
      this.#changedTable = true;
      this.#table.insert(field);
    }
    return field;
  }

  /** Section 2.3.3: one address space, the static table first. */
  #entry(index: number): HeaderField {
    const field = STATIC_TABLE[index - 1] ?? this.#table.get(index - STATIC_TABLE.length - 1);
    if (field === undefined || index === 0) throw invalid(`no entry ${index}`);
    return field;
  }

  /** Section 6.3. */
  #resize(capacityBytes: number): void {
    if (capacityBytes > this.#maxTableBytes) throw invalid(`a table of ${capacityBytes} bytes`);
    this.#changedTable = true;
    this.#table.resize(capacityBytes);
  }

  /** Section 5.1; no length or index needs more than 28 bits beyond the prefix. */
  #integer(mask: number): number {
    let value = (this.#bytes[this.#at++] ?? 0) & mask;
    if (value < mask) return value;
    for (let shift = 0; shift <= 21; shift += 7) {
      if (this.#at >= this.#end) throw invalid("an integer ends early");
      const byte = this.#bytes[this.#at++] ?? 0;
      value += (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw invalid("an integer is too large");
  }

  /** Section 5.2. */
  #string(): string {
    if (this.#at >= this.#end) throw invalid("a string is missing");
    const isHuffman = (this.#bytes[this.#at] ?? 0) >= 0x80;
    const length = this.#integer(0x7f);
    const start = this.#at;
    if (length > this.#end - start) throw invalid("a string ends early");
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

function invalid(what: string): ConnectionError {
  return new ConnectionError(COMPRESSION_ERROR, "invalid_hpack", `HPACK: ${what}`);
}
