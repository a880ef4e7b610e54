import { brotliCompressSync, constants, deflateRawSync, deflateSync, gzipSync } from "node:zlib";
import type { CodingFailure } from "../../../src/bodies/coding/coding-failure.ts";
import type { CodedPieces, CodingStream } from "../../../src/bodies/coding/coding-stream.ts";
import { type Coding, supportedCodings } from "../../../src/bodies/coding/content-encoding.ts";
import { encodeBody } from "../../../src/bodies/coding/whole-body.ts";

/** Every coding that this Node has, and some stacks of codings. */
export const STACKS: readonly (readonly Coding[])[] = [
  ...supportedCodings().map((coding) => [coding]),
  ["gzip", "br"],
  ["deflate", "gzip"],
  ["br", "gzip", "deflate"],
];

/** A body that Node's own one-shot functions encode, without the code under test. */
export function encodedByNode(bytes: Uint8Array, coding: Exclude<Coding, "zstd"> | "deflate-raw"): Uint8Array {
  if (coding === "gzip") return gzipSync(bytes);
  if (coding === "deflate") return deflateSync(bytes);
  if (coding === "deflate-raw") return deflateRawSync(bytes);
  return brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 5 } });
}

/** An encoded body. The encoding cannot fail. */
export async function encoded(bytes: Uint8Array, codings: readonly Coding[]): Promise<Uint8Array<ArrayBuffer>> {
  const result = await encodeBody(bytes, codings);
  if (result.kind === "failed") throw new Error(`${result.coding}: ${result.code}`);
  return result.bytes;
}

/** The output for some chunks: all bytes until the end, or until a failure. */
export interface Streamed {
  readonly bytes: Buffer;
  readonly failure: CodingFailure | undefined;
}

/** Feeds chunks and ends. */
export async function streamed(stream: CodingStream, chunks: Iterable<Uint8Array>): Promise<Streamed> {
  const pieces: Uint8Array[] = [];
  const keep = (step: CodedPieces | CodingFailure) => {
    if (step.kind === "failed") return step;
    pieces.push(...step.pieces);
    return undefined;
  };
  let failure: CodingFailure | undefined;
  for (const chunk of chunks) failure ??= keep(await stream.push(chunk));
  failure ??= keep(await stream.end());
  return { bytes: Buffer.concat(pieces), failure };
}

/** The same bytes in chunks that end at these places, in a repeating pattern. */
export function cutAt(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes.length === 0 ? bytes.length : Math.max(1, sizes[turn % sizes.length] ?? 1);
    chunks.push(bytes.slice(at, at + size));
    at += size;
  }
  return chunks;
}

/** A text with as much repetition as JSON has, the same in each run. */
export function sampleText(length: number): Uint8Array<ArrayBuffer> {
  const lines: string[] = [];
  let random = 1;
  for (let total = 0; total < length; ) {
    random = (random * 1_103_515_245 + 12_345) % 2_147_483_648;
    const line = JSON.stringify({ id: lines.length, name: `user ${random % 1000}`, token: random.toString(36) });
    lines.push(line);
    total += line.length + 1;
  }
  return new TextEncoder().encode(lines.join("\n")).slice(0, length);
}
