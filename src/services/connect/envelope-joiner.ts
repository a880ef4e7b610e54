import { GRPC_PREFIX_BYTES, lengthInPrefix } from "../../protocol/grpc-framing.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/**
 * Joins bytes to envelopes of gRPC, gRPC-Web and Connect streams: a flag, four bytes of length, and a message. Work and
 * memory depend on the bytes that arrive, not on the length that an envelope announces.
 */
export class EnvelopeJoiner {
  /** The bytes of the incomplete envelope. */
  readonly #held = new GrowingBytes();

  /** The number of bytes of the incomplete envelope. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /** The length that the incomplete envelope announces for its message; undefined until it is known. */
  get announcedBytes(): number | undefined {
    return this.heldBytes < GRPC_PREFIX_BYTES ? undefined : lengthInPrefix(this.#held.head, 0);
  }

  /** Takes bytes, and yields the envelopes that they complete. */
  *push(bytes: Uint8Array): Iterable<Uint8Array> {
    let at = 0;
    while (at < bytes.length) {
      const start = at;
      if (this.heldBytes === 0 && bytes.length - at >= GRPC_PREFIX_BYTES) {
        at += GRPC_PREFIX_BYTES + lengthInPrefix(bytes, at);
        if (at <= bytes.length) {
          yield bytes.subarray(start, at);
          continue;
        }
        at = start;
      }
      // The head comes first, because it has the length of the message.
      const announced = this.announcedBytes;
      const wanted = announced === undefined ? GRPC_PREFIX_BYTES : GRPC_PREFIX_BYTES + announced;
      at = Math.min(bytes.length, start + wanted - this.heldBytes);
      this.#held.push(bytes.subarray(start, at));
      if (this.heldBytes === GRPC_PREFIX_BYTES + (this.announcedBytes ?? 0)) yield this.#held.take();
    }
  }

  /** Removes and returns the bytes of the incomplete envelope. */
  rest(): Uint8Array {
    return this.#held.take();
  }
}
