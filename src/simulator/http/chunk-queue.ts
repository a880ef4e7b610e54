import { ByteBuffer } from "./byte-buffer.ts";

/** A piece of a body that was sent to the server and waits for its answer. */
export interface QueuedChunk {
  readonly bytes: Uint8Array;
  readonly endStream: boolean;
}

interface ChunkLength {
  readonly length: number;
  readonly endStream: boolean;
}

/** Pieces of a body in the order in which they were sent to the server, or wait to be sent as one. */
export class ChunkQueue {
  #chunks: ChunkLength[] = [];
  readonly #data = new ByteBuffer();

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /** Bytes of all chunks. */
  get byteLength(): number {
    return this.#data.length;
  }

  /** True if the chunk whose answer comes next is the last of its body. */
  get endsWithNext(): boolean {
    return this.#chunks[0]?.endStream ?? false;
  }

  push(bytes: Uint8Array, endStream: boolean): void {
    this.#chunks.push({ length: bytes.length, endStream });
    this.#data.push(bytes);
  }

  /** Takes the oldest chunk; undefined if there is none. */
  shift(): QueuedChunk | undefined {
    const chunk = this.#chunks.shift();
    return chunk && { bytes: this.#data.take(chunk.length), endStream: chunk.endStream };
  }

  /** Joins all chunks into one, and returns it. It stays in the queue. */
  consolidate(): QueuedChunk {
    const endStream = this.#chunks.at(-1)?.endStream ?? false;
    if (this.#chunks.length > 1) this.#chunks = [{ length: this.#data.length, endStream }];
    return { bytes: this.#data.bytes(), endStream };
  }

  clear(): void {
    this.#chunks = [];
    this.#data.take();
  }
}
