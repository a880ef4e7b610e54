import { HeaderField } from "./header-field.ts";

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

  constructor(capacityBytes: number) {
    this.#capacityBytes = capacityBytes;
  }

  get capacityBytes(): number {
    return this.#capacityBytes;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The newest entry is at 0. */
  get(index: number): HeaderField | undefined {
    return index < this.#count ? this.#ring[(this.#newest - index) & (this.#ring.length - 1)] : undefined;
  }

  /** Section 4.4: older entries make room; one that is larger than the table empties it and is not kept. */
  insert(field: HeaderField): void {
    this.#evict(this.#capacityBytes - field.sizeBytes);
    if (field.sizeBytes > this.#capacityBytes) return;
    if (this.#count === this.#ring.length) this.#enlarge();
    this.#newest = (this.#newest + 1) & (this.#ring.length - 1);
    this.#ring[this.#newest] = field;
    this.#count++;
    this.#sizeBytes += field.sizeBytes;
  }

  /** Section 4.3. */
  resize(capacityBytes: number): void {
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
