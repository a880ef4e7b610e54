import { createHash, type Hash } from "node:crypto";
import type { Writable } from "node:stream";
import { numbersFrom } from "./material.ts";

/** A body as it arrived. */
export interface Arrived {
  readonly bytes: number;
  readonly digest: string;
}

/** Counts and hashes what arrives. */
export class Arrival {
  #bytes = 0;
  readonly #hash: Hash = createHash("sha256");

  take(piece: Uint8Array): void {
    this.#bytes += piece.length;
    this.#hash.update(piece);
  }

  /** Once: what came. */
  get whole(): Arrived {
    return { bytes: this.#bytes, digest: this.#hash.digest("hex") };
  }
}

const known = new WeakMap<Uint8Array, Arrived>();

/** The same of a body that is there, and stays as it is. */
export function arrivedOf(body: Uint8Array): Arrived {
  const before = known.get(body);
  if (before) return before;
  const arrival = new Arrival();
  arrival.take(body);
  const { whole } = arrival;
  known.set(body, whole);
  return whole;
}

/** A body cut anywhere, as the seed has it: in one piece, or in a few, some of them tiny. */
export function cutAnywhere(body: Buffer, seed: number): readonly Buffer[] {
  const next = numbersFrom(seed + 1);
  const count = [1, 1, 2, 5, 17][next() % 5] ?? 1;
  const cuts = Array.from({ length: count - 1 }, () => (next() % 3 === 0 ? next() % 20 : next() % (body.length + 1)));
  const sorted = [0, ...cuts.filter((at) => at < body.length).sort((one, other) => one - other), body.length];
  return sorted
    .slice(1)
    .map((end, index) => body.subarray(sorted[index], end))
    .filter(({ length }) => length > 0);
}

/** Lets what was written leave by itself. */
function oneTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Writes a body piece by piece, as fast as the peer takes it; stops where the peer has gone. */
export async function writePieces(stream: Writable, pieces: readonly Buffer[]): Promise<void> {
  for (const piece of pieces) {
    if (stream.destroyed) return;
    if (!stream.write(piece)) await drained(stream);
    await oneTurn();
  }
}

function drained(stream: Writable): Promise<void> {
  return new Promise((resolve) => {
    const settle = () => {
      stream.off("drain", settle).off("close", settle);
      resolve();
    };
    if (stream.destroyed) resolve();
    else stream.on("drain", settle).on("close", settle);
  });
}
