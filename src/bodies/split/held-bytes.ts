import type { CoderRoom } from "../coding/coder-memory.ts";
import { plainBytes } from "../owned-bytes.ts";

/** Counts the bytes that are held back while a handler or one of its loops processes a chunk. */
let currentRoom: CoderRoom | undefined;

/** Runs work. Bytes that are held back during it count in a room. */
export function holdingIn<T>(room: CoderRoom | undefined, work: () => T): T {
  const outer = currentRoom;
  currentRoom = room ?? outer;
  try {
    return work();
  } finally {
    currentRoom = outer;
  }
}

const HELD_ROOM: unique symbol = Symbol("held room");

/** Chunks whose bytes count in a room if a loop holds them back. */
export interface CountedChunks {
  readonly [HELD_ROOM]?: CoderRoom | undefined;
}

/** The room of chunks that have one. */
export function roomOf(chunks: object): CoderRoom | undefined {
  return (chunks as CountedChunks)[HELD_ROOM];
}

/** Gives chunks a room: bytes that loops over them hold back count there. */
export function withRoom<T extends object>(chunks: T, room: CoderRoom | undefined): T {
  if (room !== undefined) Object.defineProperty(chunks, HELD_ROOM, { value: room });
  return chunks;
}

const EMPTY = new Uint8Array(0);

/**
 * The beginning of an item whose end has not come. It is a copy, so that a byte does not keep a chunk alive. Its memory
 * doubles when needed, so an item in 1,000 chunks is not copied 1,000 times.
 */
export class HeldBytes {
  #memory = EMPTY;
  #length = 0;
  #room: CoderRoom | undefined;
  #counted = 0;

  get length(): number {
    return this.#length;
  }

  /** The held bytes, then the chunk; the chunk itself if nothing was held. */
  join(chunk: Uint8Array): Uint8Array<ArrayBuffer> {
    if (this.#length === 0) return plainBytes(chunk);
    const length = this.#length + chunk.length;
    if (length > this.#memory.length) {
      const memory = new Uint8Array(Math.max(length, this.#memory.length * 2, 256));
      memory.set(this.#memory.subarray(0, this.#length));
      this.#memory = memory;
    }
    this.#memory.set(chunk, this.#length);
    return this.#memory.subarray(0, length);
  }

  /**
   * Holds the last bytes of the result of {@link join}, from an index on. The bytes before the index may be in use elsewhere.
   * False: they do not fit, and nothing is held.
   */
  keep(joined: Uint8Array<ArrayBuffer>, from: number): boolean {
    const isOurs = joined.buffer === this.#memory.buffer && this.#length > 0;
    if (!isOurs || from > 0) this.#memory = from === joined.length ? EMPTY : joined.slice(from);
    this.#length = joined.length - from;
    if (this.#count(this.#memory.length)) return true;
    this.take();
    return false;
  }

  /** Returns all held bytes, and holds nothing any more. */
  take(): Uint8Array<ArrayBuffer> {
    const bytes = this.#memory.subarray(0, this.#length);
    this.#memory = EMPTY;
    this.#length = 0;
    this.#count(0);
    return bytes;
  }

  #count(bytes: number): boolean {
    this.#room ??= currentRoom;
    if (bytes > this.#counted && this.#room?.take(bytes - this.#counted) === false) return false;
    if (bytes < this.#counted) this.#room?.give(this.#counted - bytes);
    if (this.#room !== undefined) this.#counted = bytes;
    return true;
  }
}
