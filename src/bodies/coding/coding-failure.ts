import type { Coding } from "./content-encoding.ts";
import { hasCoding } from "./engine.ts";

/**
 * Why a body could not be decoded or encoded.
 *
 * - `too_large`: it has more bytes than the caller allows, at the end, or in between if codings are stacked; or its
 *   zstd window is above 8 MiB, which RFC 9659 forbids in HTTP.
 * - `ratio`: its decoded length exceeds the allowed ratio, as that of a bomb does.
 * - `corrupt`: it does not match its coding, or its checksum is wrong.
 * - `truncated`: it ends too early.
 * - `trailing_data`: after its end there are bytes that are not a further member or frame. Some recipients would see them,
 *   and others would not.
 * - `unsupported_coding`: this Node does not have the coding.
 * - `engine_failed`: the library stopped, because it had no memory.
 * - `no_room`: the caller has no room for the output, or for the memory of the coder.
 * - `busy`: so many brotli bodies were decoded that its turn came too late.
 * - `closed`: the caller closed it.
 */
export type CodingFailureCode =
  | "too_large"
  | "ratio"
  | "corrupt"
  | "truncated"
  | "trailing_data"
  | "unsupported_coding"
  | "engine_failed"
  | "no_room"
  | "busy"
  | "closed";

/** A body that could not be decoded or encoded, and the coding that failed. It contains no bytes of the body. */
export interface CodingFailure {
  readonly kind: "failed";
  readonly code: CodingFailureCode;
  /** `identity`: a body without codings, or none of them is to blame. */
  readonly coding: Coding | "identity";
}

/** A {@link CodingFailure}. */
export function codingFailure(code: CodingFailureCode, coding: CodingFailure["coding"]): CodingFailure {
  return { kind: "failed", code, coding };
}

/** Why the engine could not be created, or was closed. */
export function engineFailure(coding: Coding): CodingFailure {
  return codingFailure(hasCoding(coding) ? "engine_failed" : "unsupported_coding", coding);
}

/** What zlib reports if a header is not valid: the first header of a body, or the bytes after a gzip member. */
const GZIP_HEADER_PROBLEM = /^(?:incorrect header check|unknown compression method|unknown header flags set)$/;

/**
 * Names what zlib, brotli or zstd reported. `gzipBegan`: the body began as gzip does, so a wrong header belongs to the
 * bytes after its end.
 */
export function classifyEngineError(error: unknown, coding: Coding, gzipBegan: boolean): CodingFailure {
  const { code, message } = error instanceof Error ? (error as NodeJS.ErrnoException) : { code: "", message: "" };
  if (code === "Z_BUF_ERROR") return codingFailure("truncated", coding);
  if (gzipBegan && GZIP_HEADER_PROBLEM.test(message)) return codingFailure("trailing_data", coding);
  const isCorrupt = /^(?:Z_DATA_ERROR|Z_NEED_DICT|ERR__ERROR_|ZSTD_error_(?!memory))/.test(code ?? "");
  return isCorrupt ? codingFailure("corrupt", coding) : engineFailure(coding);
}

/** A body that could not be decoded or encoded, as an error for iterators. */
export class CodingError extends Error {
  override readonly name = "CodingError";
  readonly failure: CodingFailure;

  constructor(failure: CodingFailure) {
    super(`the body cannot be coded: ${failure.code} (${failure.coding})`);
    this.failure = failure;
  }
}
