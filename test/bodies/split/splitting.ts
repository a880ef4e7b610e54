import { SplitError, type SplitErrorCode } from "../../../src/bodies/split/splitter.ts";
import { fc } from "../../property/seed.ts";

/** The output of a splitter for some chunks. */
export interface SplitAll<Item> {
  readonly items: Item[];
  readonly failure: SplitErrorCode | undefined;
  /** The bytes that came back after the failure, in order. */
  readonly rest: Buffer;
}

/** A splitter that reads a body chunk by chunk. */
interface Taker<Out> {
  push(chunk: Uint8Array): Out;
  end(): Out;
}

/** Feeds all chunks, also after a failure, and ends. */
export function splitAll<Item>(splitter: Taker<readonly Item[]>, chunks: Iterable<Uint8Array>): SplitAll<Item> {
  const { outputs, ...others } = feedAll(splitter, chunks);
  return { items: outputs.flat(), ...others };
}

/** Like above, for a splitter that gives one thing for each chunk. */
export function feedAll<Out>(
  splitter: Taker<Out>,
  chunks: Iterable<Uint8Array>,
): Omit<SplitAll<never>, "items"> & { readonly outputs: Out[] } {
  const outputs: Out[] = [];
  const rests: Uint8Array[] = [];
  let failure: SplitErrorCode | undefined;
  const steps = [...chunks].map((chunk) => () => splitter.push(chunk));
  for (const step of [...steps, () => splitter.end()]) {
    try {
      const output = step();
      // A splitter that failed only gives bytes back.
      if (failure === undefined) outputs.push(output);
    } catch (error) {
      if (!(error instanceof SplitError)) throw error;
      failure ??= error.code;
      rests.push(error.rest);
    }
  }
  return { outputs, failure, rest: Buffer.concat(rests) };
}

/** The code of what a call throws; undefined if it throws nothing. */
export function codeOf(call: () => unknown): SplitErrorCode | undefined {
  try {
    call();
  } catch (error) {
    if (error instanceof SplitError) return error.code;
    throw error;
  }
  return undefined;
}

export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text);
}

/** Sizes of chunks, some of them empty. */
export const cuts: fc.Arbitrary<number[]> = fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 8 });

/** The bytes in chunks of these sizes, and the rest in one chunk. */
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

/** A text of the characters that splitters look for, and other characters. */
export function textOf(...parts: string[]): fc.Arbitrary<string> {
  return fc.array(fc.constantFrom(...parts), { maxLength: 24 }).map((chosen) => chosen.join(""));
}
