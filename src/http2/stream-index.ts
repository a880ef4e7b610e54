import type { ServerStream } from "./server-stream.ts";

const FIRST_SLOTS = 16;

/**
 * The open streams of a connection by their identifiers (RFC 9113 section 5.1.1): a hash table with linear probing.
 *
 * It is not a Map. V8 copies the entries of a Map to a new table from time to time, and leaves the old table linked to
 * the new one. After such a table has reached the old generation, all streams in it and in later tables stay in memory
 * until the next full collection. This made garbage collection 40 % of all work.
 */
export class StreamIndex {
  #slots: (ServerStream | undefined)[] = new Array(FIRST_SLOTS).fill(undefined);
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(id: number): ServerStream | undefined {
    return this.#slots[this.#find(id)];
  }

  /** Adds a stream whose identifier is not there yet. */
  add(stream: ServerStream): void {
    if (this.#size * 2 >= this.#slots.length) this.#grow();
    this.#slots[this.#find(stream.id)] = stream;
    this.#size++;
  }

  delete(id: number): void {
    let gap = this.#find(id);
    if (this.#slots[gap] === undefined) return;
    this.#slots[gap] = undefined;
    this.#size--;
    // Closes the gap. Otherwise an entry that a collision moved after the gap would not be found any more.
    const mask = this.#slots.length - 1;
    for (let at = (gap + 1) & mask; ; at = (at + 1) & mask) {
      const stream = this.#slots[at];
      if (stream === undefined) return;
      const distance = (at - slotOf(stream.id, mask)) & mask;
      if (distance < ((at - gap) & mask)) continue;
      this.#slots[gap] = stream;
      this.#slots[at] = undefined;
      gap = at;
    }
  }

  /** Returns all streams that are open now. */
  toArray(): ServerStream[] {
    return this.#slots.filter((stream) => stream !== undefined);
  }

  /** Returns the slot of an identifier, or the empty slot for it. */
  #find(id: number): number {
    const mask = this.#slots.length - 1;
    let at = slotOf(id, mask);
    for (let stream = this.#slots[at]; stream !== undefined && stream.id !== id; stream = this.#slots[at]) {
      at = (at + 1) & mask;
    }
    return at;
  }

  #grow(): void {
    const streams = this.toArray();
    // The old array may be in the old generation, and must not keep its streams in memory.
    this.#slots.fill(undefined);
    this.#slots = new Array(this.#slots.length * 2).fill(undefined);
    for (const stream of streams) this.#slots[this.#find(stream.id)] = stream;
  }
}

/** The slot of a stream in a table whose size is a power of 2. Identifiers of a client are odd, and rise by two. */
export function slotOf(id: number, mask: number): number {
  return (id >>> 1) & mask;
}
