import { ConnectionError } from "./end-reason.ts";
import { COMPRESSION_ERROR } from "./error-codes.ts";
import { HeaderField } from "./header-field.ts";
import { STATIC_TABLE } from "./hpack-static-table.ts";

const NO_FIELD = new HeaderField("", "");
const INITIAL_SLOTS = 16;

/**
 * HPACK's dynamic table (RFC 7541 sections 2.3.2 and 4). Entries live in a ring whose length is a power of two, so
 * inserting and evicting move nothing.
 */
export class DynamicTable {
  #ring: HeaderField[] = new Array(INITIAL_SLOTS).fill(NO_FIELD);
  #newest = 0;
  #count = 0;
  #sizeBytes = 0;
  #capacityBytes: number;
  /** The largest capacity that the client may set. */
  #maxCapacityBytes: number;

  constructor(capacityBytes: number, maxCapacityBytes = capacityBytes) {
    this.#capacityBytes = capacityBytes;
    this.#maxCapacityBytes = maxCapacityBytes;
  }

  get capacityBytes(): number {
    return this.#capacityBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The newest entry is at index 0. */
  get(index: number): HeaderField | undefined {
    return index < this.#count ? this.#ring[(this.#newest - index) & (this.#ring.length - 1)] : undefined;
  }

  /**
   * Returns the field at an index (section 2.3.3). The indices of the static table come first.
   *
   * @throws ConnectionError for an index without a field.
   */
  entry(index: number): HeaderField {
    const field = STATIC_TABLE[index - 1] ?? this.get(index - STATIC_TABLE.length - 1);
    if (field === undefined || index === 0) throw invalidHpack(`no entry ${index}`);
    return field;
  }

  /**
   * Inserts a field (section 4.4). Older entries make room. A field that is larger than the table empties it and is not
   * kept.
   */
  insert(field: HeaderField): void {
    this.#evict(this.#capacityBytes - field.sizeBytes);
    if (field.sizeBytes > this.#capacityBytes) return;
    if (this.#count === this.#ring.length) this.#enlarge();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#sizeBytes += field.sizeBytes;
  }

  /** Inserts a field that is larger than the table: the table is empty afterwards. */
  insertOversized(): void {
    this.#evict(0);
  }

  /** The largest capacity from now on. The client must reduce a larger table at the start of its next block. */
  limitTo(maxCapacityBytes: number): void {
    this.#maxCapacityBytes = maxCapacityBytes;
  }

  /**
   * Checks the size of the table.
   *
   * @throws ConnectionError if the table is larger than the limit: then fields must not follow yet (section 4.2).
   */
  requireWithinLimit(): void {
    if (this.#capacityBytes > this.#maxCapacityBytes) {
      throw invalidHpack("the table was not reduced to SETTINGS_HEADER_TABLE_SIZE");
    }
  }

  /**
   * Changes the capacity (sections 4.3 and 6.3).
   *
   * @throws ConnectionError for a capacity above the limit.
   */
  resize(capacityBytes: number): void {
    if (capacityBytes > this.#maxCapacityBytes) throw invalidHpack(`a table of ${capacityBytes} bytes`);
    this.#capacityBytes = capacityBytes;
    this.#evict(capacityBytes);
  }

  #evict(roomBytes: number): void {
    while (this.#count > 0 && this.#sizeBytes > roomBytes) {
      this.#count--;
      const oldest = (this.#newest - this.#count) & (this.#ring.length - 1);
      this.#sizeBytes -= this.#ring[oldest]?.sizeBytes ?? 0;
      this.#ring[oldest] = NO_FIELD;
    }
  }

  #enlarge(): void {
    const slots = this.#ring.length;
    const oldestFirst = Array.from({ length: slots }, (_, i) => this.get(slots - 1 - i) ?? NO_FIELD);
    this.#ring = oldestFirst.concat(new Array(slots).fill(NO_FIELD));
    this.#newest = slots - 1;
  }
}

/** Makes the connection error for bytes that are not HPACK. */
export function invalidHpack(what: string): ConnectionError {
  return new ConnectionError(COMPRESSION_ERROR, "invalid_hpack", `HPACK: ${what}`);
}
