import { GRPC_PREFIX_BYTES } from "../../protocol/grpc-framing.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/**
 * Puts the envelopes of gRPC, gRPC-Web and streams of Connect together: a flag, four bytes of length, and a message. Work and
 * memory grow with the bytes that arrive, not with the length that an envelope announces.
 */
export class EnvelopeJoiner {
  /** The beginning of an envelope that is not complete. */
  readonly #held = new GrowingBytes();

  /** Bytes of an envelope that is not complete. */
  get heldBytes(): number {
    return this.#held.length;
  }

  /** The length that such an envelope announces for its message, once it is known. */
  get announcedBytes(): number | undefined {
    return this.heldBytes < GRPC_PREFIX_BYTES ? undefined : announcedIn(this.#held.head, 0);
  }

  /** Takes bytes, and gives the envelopes that they complete. */
  *push(bytes: Uint8Array): Iterable<Uint8Array> {
    let at = 0;
    while (at < bytes.length) {
      const start = at;
      if (this.heldBytes === 0 && bytes.length - at >= GRPC_PREFIX_BYTES) {
        at += GRPC_PREFIX_BYTES + announcedIn(bytes, at);
        if (at <= bytes.length) {
          yield bytes.subarray(start, at);
          continue;
        }
        at = start;
      }
      // The head first, which says how much belongs to the envelope.
      const announced = this.announcedBytes;
      const wanted = announced === undefined ? GRPC_PREFIX_BYTES : GRPC_PREFIX_BYTES + announced;
      at = Math.min(bytes.length, start + wanted - this.heldBytes);
      this.#held.push(bytes.subarray(start, at));
      if (this.heldBytes === GRPC_PREFIX_BYTES + (this.announcedBytes ?? 0)) yield this.#held.take();
    }
  }

  /** Takes what there is of an envelope that is not complete. */
  rest(): Uint8Array {
    return this.#held.take();
  }
}

function announcedIn(bytes: Uint8Array, at: number): number {
  return new DataView(bytes.buffer, bytes.byteOffset + at).getUint32(1);
}
