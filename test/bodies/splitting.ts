import type { SplitFailure, Splitter } from "../../src/bodies/splitter.ts";
import { fc } from "../property/seed.ts";

/** What a splitter makes of some chunks. */
export interface SplitAll<Item> {
  readonly items: Item[];
  readonly failure: SplitFailure["code"] | undefined;
  /** What came back after the failure, one after the other. */
  readonly rest: Buffer;
}

/** Feeds all chunks, also after a failure, and ends. */
export function splitAll<Item>(splitter: Splitter<Item>, chunks: Iterable<Uint8Array>): SplitAll<Item> {
  const items: Item[] = [];
  const rests: Uint8Array[] = [];
  let failure: SplitFailure["code"] | undefined;
  const steps = [...chunks].map((chunk) => () => splitter.push(chunk));
  for (const step of [...steps, () => splitter.end()]) {
    const split = step();
    items.push(...split.items);
    failure ??= split.failure?.code;
    if (split.failure !== undefined) rests.push(split.failure.rest);
  }
  return { items, failure, rest: Buffer.concat(rests) };
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Sizes of chunks, empty ones among them. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 8 });

/** The bytes in chunks of these sizes, the rest in one. */
export function cutInto(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  let at = 0;
  for (const size of sizes) {
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  chunks.push(bytes.slice(at));
  return chunks;
}

/** Text made of what splitting looks at, and other things. */
export function textOf(...parts: string[]): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...parts), { maxLength: 24 }).map((chosen) => chosen.join(""));
}
