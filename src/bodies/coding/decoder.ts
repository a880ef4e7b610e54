import type { CoderRoom } from "./coder-memory.ts";
import { codingFailure } from "./coding-failure.ts";
import { CodingStream } from "./coding-stream.ts";
import type { Coding } from "./content-encoding.ts";
import { DecodingLayer } from "./decoding-layer.ts";
import { type DecodeLimits, OutputLimit } from "./output-limit.ts";

/**
 * Decodes a body that comes in chunks, cut anywhere. The work runs in Node's thread pool, 64 KiB of output at a time. Each
 * 64 KiB are checked against the limits, so a bomb ends at its first excess and takes no more memory than they allow.
 *
 * Allowed are several gzip members or zstd frames in sequence, and an empty body. Not allowed is anything else after the
 * end, also zeros ({@link CodingFailureCode} `trailing_data`).
 *
 * @param codings In the order in which they were applied, as `parseContentEncoding` has them.
 * @param room Counts the native memory of each coding, window included, from its first byte until `end` or `close`; without
 * room the failure is `no_room`. Default: it is not counted.
 *
 * @example
 * const decoder = createDecoder(["gzip"], { maxBytes: 10 << 20 });
 * for (const chunk of chunks) {
 *   const decoded = await decoder.push(chunk);
 *   if (decoded.kind === "failed") return decoded.code;
 *   for (const piece of decoded.pieces) look(piece);
 * }
 * const rest = await decoder.end();
 */
export function createDecoder(codings: readonly Coding[], limits: DecodeLimits, room?: CoderRoom): CodingStream {
  const wire = { bytes: 0 };
  const layers = codings.map((coding) => new DecodingLayer(coding, new OutputLimit(limits, wire), room)).reverse();
  return new CodingStream(layers, (bytes) => {
    wire.bytes += bytes;
    return layers.length === 0 && wire.bytes > limits.maxBytes ? codingFailure("too_large", "identity") : undefined;
  });
}
