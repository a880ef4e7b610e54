import { compactBytes, joinBytes, plainBytes } from "../owned-bytes.ts";
import { brotliLength } from "./brotli-length.ts";
import type { CoderRoom } from "./coder-memory.ts";
import { type CodingFailure, classifyEngineError, codingFailure, engineFailure } from "./coding-failure.ts";
import { codedNow, inSlot, mayCodeNow } from "./coding-slots.ts";
import type { CodingStream } from "./coding-stream.ts";
import type { Coding } from "./content-encoding.ts";
import { createDecoder } from "./decoder.ts";
import { isGzipHead } from "./decoding-layer.ts";
import { createEncoder } from "./encoder.ts";
import { decodeNow, deflateFormat, encodeNow } from "./engine.ts";
import { type DecodeLimits, OutputLimit } from "./output-limit.ts";
import { ZstdFrames } from "./zstd-frames.ts";

/** A whole body, decoded or encoded. */
export interface CodedBody {
  readonly kind: "bytes";
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** How large a whole body may be after decoding. */
export interface WholeLimits extends DecodeLimits {
  /** Called before decoded bytes are kept; false is the failure `no_room`. Default: there is room. */
  readonly hold?: ((bytes: number) => boolean) | undefined;
  /** Counts the native memory of a body that is decoded in the thread pool. Default: it is not counted. */
  readonly room?: CoderRoom | undefined;
}

/**
 * A body up to this size is decoded in the calling thread, which blocks it for at most 0.7 ms. A larger body is decoded in
 * the thread pool. The pool costs three times as much CPU: 256 KiB of JSON out of gzip take 320 us here, 940 us there.
 */
const DECODE_NOW_BYTES = 128 << 10;
const DECODE_NOW_OUTPUT_BYTES = 512 << 10;
/** Encoding is slower: 64 KiB take 0.4 ms. */
const ENCODE_NOW_BYTES = 64 << 10;
/** Encoding one byte costs as much as decoding this many. */
const ENCODING_COST = 4;
const NO_ROOM = codingFailure("no_room", "identity");

/**
 * Decodes a complete body: a small one at once, a larger one in Node's thread pool. {@link createDecoder} says what is
 * allowed.
 *
 * @param codings In the order in which they were applied, as `parseContentEncoding` has them. None: the bytes
 * themselves, if they are not too many.
 *
 * @example
 * const decoded = await decodeBody(bytes, ["gzip"], { maxBytes: 1 << 20 });
 * if (decoded.kind === "failed") return decoded.code; // such as "too_large"
 * look(decoded.bytes);
 */
export function decodeBody(
  bytes: Uint8Array,
  codings: readonly Coding[],
  limits: WholeLimits,
): CodedBody | CodingFailure | Promise<CodedBody | CodingFailure> {
  if (bytes.length <= DECODE_NOW_BYTES && mayCodeNow()) {
    const decoded = decodeAllNow(bytes, codings, limits);
    if (decoded?.kind === "bytes" && limits.hold?.(decoded.bytes.length) === false) return NO_ROOM;
    if (decoded !== undefined) return decoded;
  }
  return inSlot(() => runWhole(createDecoder(codings, limits, limits.room), bytes, limits.hold));
}

/**
 * Encodes a complete body: a small one at once, a larger one in Node's thread pool.
 *
 * @param room Counts the native memory of a body that is encoded in the thread pool. Default: it is not counted.
 */
export function encodeBody(
  bytes: Uint8Array,
  codings: readonly Coding[],
  room?: CoderRoom,
): CodedBody | CodingFailure | Promise<CodedBody | CodingFailure> {
  if (codings.length > 0 && (bytes.length > ENCODE_NOW_BYTES || !mayCodeNow()))
    return inSlot(() => runWhole(createEncoder(codings, { flush: "end", room }), bytes));
  let encoded = bytes;
  for (const coding of codings) {
    codedNow(encoded.length * ENCODING_COST);
    try {
      encoded = encodeNow(coding, encoded);
    } catch {
      return engineFailure(coding);
    }
  }
  return { kind: "bytes", bytes: compactBytes(encoded) };
}

/** Undefined if the output is too large for the calling thread. */
function decodeAllNow(
  bytes: Uint8Array,
  codings: readonly Coding[],
  limits: DecodeLimits,
): CodedBody | CodingFailure | undefined {
  const { allowedBytes, excess } = new OutputLimit(limits, { bytes: bytes.length });
  let decoded = bytes;
  for (const coding of codings.toReversed()) {
    const result = decodeOneNow(decoded, coding, Math.min(allowedBytes, DECODE_NOW_OUTPUT_BYTES));
    if (result === "needs_pool" || (result === "too_much" && allowedBytes > DECODE_NOW_OUTPUT_BYTES)) return undefined;
    if (result === "too_much") return codingFailure(excess, coding);
    if (result.kind === "failed") return result;
    decoded = result.bytes;
  }
  if (decoded.length > limits.maxBytes) return codingFailure("too_large", "identity");
  return { kind: "bytes", bytes: compactBytes(decoded) };
}

/** `needs_pool`: its frames must be decoded one by one, or it may cost too much. */
function decodeOneNow(
  bytes: Uint8Array,
  coding: Coding,
  maxBytes: number,
): CodedBody | CodingFailure | "too_much" | "needs_pool" {
  const [first = 0, second = 0] = bytes;
  if (bytes.length === 0) return { kind: "bytes", bytes: new Uint8Array(0) };
  if (coding === "zstd") {
    const frames = new ZstdFrames();
    const segments = frames.push(bytes);
    if ("kind" in segments) return segments;
    if (!frames.atFrameEnd) return codingFailure("truncated", coding);
    if (!frames.isOnlyOne) return "needs_pool";
  }
  // Brotli fills its whole window at the first step, whatever its limit: 8 ms for a bomb of 100 bytes.
  if (coding === "br" && !((brotliLength(bytes) ?? Number.POSITIVE_INFINITY) <= maxBytes)) return "needs_pool";
  try {
    const format = coding === "deflate" ? deflateFormat(first, second) : coding;
    const { buffer, engine } = decodeNow(format, bytes, Math.max(1, maxBytes));
    codedNow(buffer.length);
    if (engine.bytesWritten < bytes.length) return codingFailure("trailing_data", coding);
    return buffer.length > maxBytes ? "too_much" : { kind: "bytes", bytes: plainBytes(buffer) };
  } catch (error) {
    codedNow(maxBytes);
    if (error instanceof RangeError && "code" in error && error.code === "ERR_BUFFER_TOO_LARGE") return "too_much";
    return classifyEngineError(error, coding, coding === "gzip" && isGzipHead(bytes));
  }
}

async function runWhole(
  stream: CodingStream,
  bytes: Uint8Array,
  hold?: WholeLimits["hold"],
): Promise<CodedBody | CodingFailure> {
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  const deliver = (piece: Uint8Array<ArrayBuffer>) => {
    if (hold?.(piece.length) === false) return Promise.resolve(NO_ROOM);
    pieces.push(piece);
    return undefined;
  };
  const failure = (await stream.pushTo(bytes, deliver)) ?? (await stream.endTo(deliver));
  return failure ?? { kind: "bytes", bytes: joinBytes(pieces) };
}
