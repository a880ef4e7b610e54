import { joinBytes } from "../../bodies/owned-bytes.ts";

/** No bytes. */
export const NO_BYTES: Uint8Array = new Uint8Array(0);

/** Bytes that arrive in pieces, and are read or taken from the front. */
export class ByteBuffer {
  #pieces: Uint8Array[] = [];
  #length = 0;

  /** Number of bytes. */
  get length(): number {
    return this.#length;
  }

  /** Adds a piece, which may be empty. */
  push(bytes: Uint8Array): void {
    if (bytes.length === 0) return;
    this.#pieces.push(bytes);
    this.#length += bytes.length;
  }

  /** Returns all bytes as one piece. */
  bytes(): Uint8Array {
    if (this.#pieces.length === 0) return NO_BYTES;
    const joined = joinBytes(this.#pieces);
    this.#pieces = [joined];
    return joined;
  }

  /** Removes this number of bytes from the front and returns them; all bytes if no length is given. */
  take(length = this.#length): Uint8Array {
    const all = this.bytes();
    const rest = all.subarray(length);
    this.#pieces = rest.length > 0 ? [rest] : [];
    this.#length = rest.length;
    return all.subarray(0, length);
  }

  /** Replaces all bytes by others. */
  replace(bytes: Uint8Array): void {
    this.#pieces = bytes.length > 0 ? [bytes] : [];
    this.#length = bytes.length;
  }
}
