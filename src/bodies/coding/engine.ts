import type { Coding } from "./content-encoding.ts";

/** The formats of an encoded body: `deflate` comes with and without zlib's wrapping. */
export type Format = Coding | "deflate-raw";

/** One coding, one direction, one body: a stream of Node's zlib, as far as it is used here. */
export interface Engine {
  /** Bytes taken so far: bytes after the end of an encoded body do not count. */
  readonly bytesWritten: number;
  readonly readableLength: number;
  write(chunk: Uint8Array, written: (error?: Error | null) => void): unknown;
  end(): unknown;
  pause(): unknown;
  resume(): unknown;
  /** Frees native memory, at once or when the running step is done. */
  destroy(): unknown;
  on(event: "data", listener: (piece: Uint8Array<ArrayBuffer>) => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  on(event: "end", listener: () => void): unknown;
}

/** What a call decoded, and how many encoded bytes it took. */
export interface DecodedNow {
  readonly buffer: Uint8Array<ArrayBuffer>;
  readonly engine: { readonly bytesWritten: number };
}

/** Size of each piece of output: each is a step in the thread pool, which costs about 50 us. */
export const PIECE_BYTES = 64 << 10;

interface EngineOptions {
  readonly chunkSize?: number;
  readonly flush?: number;
  readonly level?: number;
  readonly params?: Readonly<Record<number, number>>;
  readonly maxOutputLength?: number;
  readonly info?: boolean;
}
type CreateEngine = (options: EngineOptions) => Engine;
type DecodeNow = (bytes: Uint8Array, options: EngineOptions) => DecodedNow;
type EncodeNow = (bytes: Uint8Array, options: EngineOptions) => Uint8Array<ArrayBuffer>;

/** The part of `node:zlib` that is used, with what the oldest supported Node does not have. */
interface Zlib {
  readonly constants: Readonly<Record<string, number>>;
  readonly createGzip: CreateEngine;
  readonly createGunzip: CreateEngine;
  readonly createDeflate: CreateEngine;
  readonly createInflate: CreateEngine;
  readonly createInflateRaw: CreateEngine;
  readonly createBrotliCompress: CreateEngine;
  readonly createBrotliDecompress: CreateEngine;
  readonly createZstdCompress?: CreateEngine;
  readonly createZstdDecompress?: CreateEngine;
  readonly gzipSync: EncodeNow;
  readonly gunzipSync: DecodeNow;
  readonly deflateSync: EncodeNow;
  readonly inflateSync: DecodeNow;
  readonly inflateRawSync: DecodeNow;
  readonly brotliCompressSync: EncodeNow;
  readonly brotliDecompressSync: DecodeNow;
  readonly zstdCompressSync?: EncodeNow;
  readonly zstdDecompressSync?: DecodeNow;
}

const DECODERS = {
  gzip: { create: "createGunzip", now: "gunzipSync" },
  deflate: { create: "createInflate", now: "inflateSync" },
  "deflate-raw": { create: "createInflateRaw", now: "inflateRawSync" },
  br: { create: "createBrotliDecompress", now: "brotliDecompressSync" },
  zstd: { create: "createZstdDecompress", now: "zstdDecompressSync" },
} as const;

/** Windows of encoders, as base 2 logarithm: 256 KiB, as Envoy's own. The library's 4 MiB take 9 MiB of memory. */
const ENCODER_WINDOW_LOG = 18;
/** Largest window of a zstd decoder: 8 MiB, which RFC 9659 allows in HTTP. */
const ZSTD_MAX_WINDOW_LOG = 23;

/**
 * The levels are those at which a megabyte of JSON costs 3 to 8 ms. zlib's own default, 6, takes 11 ms and saves another
 * 2 %, brotli's own, 11, takes seconds.
 */
const ENCODERS = {
  gzip: {
    create: "createGzip",
    now: "gzipSync",
    flush: "Z_SYNC_FLUSH",
    level: 4,
    levelParameter: undefined,
    windowParameter: undefined,
  },
  deflate: {
    create: "createDeflate",
    now: "deflateSync",
    flush: "Z_SYNC_FLUSH",
    level: 4,
    levelParameter: undefined,
    windowParameter: undefined,
  },
  br: {
    create: "createBrotliCompress",
    now: "brotliCompressSync",
    flush: "BROTLI_OPERATION_FLUSH",
    level: 4,
    levelParameter: "BROTLI_PARAM_QUALITY",
    windowParameter: "BROTLI_PARAM_LGWIN",
  },
  zstd: {
    create: "createZstdCompress",
    now: "zstdCompressSync",
    flush: "ZSTD_e_flush",
    level: 3,
    levelParameter: "ZSTD_c_compressionLevel",
    windowParameter: "ZSTD_c_windowLog",
  },
} as const;

/** Loads `node:zlib` at first use, as most processors never see an encoded body; not by import(), which is asynchronous. */
function zlib(): Zlib {
  return process.getBuiltinModule("node:zlib") as unknown as Zlib;
}

/** Whether this Node has a coding. */
export function hasCoding(coding: Coding): boolean {
  return zlib()[DECODERS[coding].create] !== undefined;
}

/** A decoder, which produces as much output as it can after each write; undefined if Node lacks the coding or memory. */
export function createDecodingEngine(format: Format): Engine | undefined {
  const windowLimit = format === "zstd" ? zlib().constants.ZSTD_d_windowLogMax : undefined;
  const params = windowLimit === undefined ? {} : { params: { [windowLimit]: ZSTD_MAX_WINDOW_LOG } };
  return createdOrNot(() => zlib()[DECODERS[format].create]?.({ chunkSize: PIECE_BYTES, ...params }));
}

/**
 * An encoder; undefined if Node lacks the coding or memory. With `flushes` it produces all output after each write,
 * which costs a few bytes.
 */
export function createEncodingEngine(coding: Coding, flushes: boolean): Engine | undefined {
  const { constants } = zlib();
  const { create, flush } = ENCODERS[coding];
  const flushFlag = flushes ? constants[flush] : undefined;
  const options = { chunkSize: PIECE_BYTES, ...encodingParameters(coding) };
  return createdOrNot(() => zlib()[create]?.(flushFlag === undefined ? options : { ...options, flush: flushFlag }));
}

/**
 * Decodes in the calling thread.
 *
 * @throws What zlib reports; an error with code `ERR_BUFFER_TOO_LARGE` for more than `maxOutputBytes`, 1 at least.
 */
export function decodeNow(format: Format, bytes: Uint8Array, maxOutputBytes: number): DecodedNow {
  const decode = zlib()[DECODERS[format].now];
  if (decode === undefined) throw new TypeError(`this Node has no ${format}`);
  // Pieces are joined at the end, and most bodies of this size fit into one.
  const chunkSize = Math.max(1024, Math.min(bytes.length * 8, maxOutputBytes, PIECE_BYTES));
  return decode(bytes, { info: true, maxOutputLength: maxOutputBytes, chunkSize });
}

/** Encodes in the calling thread. */
export function encodeNow(coding: Coding, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const encode = zlib()[ENCODERS[coding].now];
  if (encode === undefined) throw new TypeError(`this Node has no ${coding}`);
  return encode(bytes, encodingParameters(coding));
}

function encodingParameters(coding: Coding): EngineOptions {
  const { level, levelParameter, windowParameter } = ENCODERS[coding];
  if (levelParameter === undefined) return { level };
  const { [levelParameter]: levelKey, [windowParameter]: windowKey } = zlib().constants;
  if (levelKey === undefined || windowKey === undefined) return {};
  return { params: { [levelKey]: level, [windowKey]: ENCODER_WINDOW_LOG } };
}

function createdOrNot(create: () => Engine | undefined): Engine | undefined {
  try {
    return create();
  } catch {
    return undefined;
  }
}

/**
 * Whether what HTTP calls deflate has zlib's wrapping, as it should (RFC 9110 section 8.4.1.2), or is raw, as some
 * servers send it. The two bytes of zlib's header (RFC 1950 section 2.2) carry a check: a raw body that matches it
 * would begin with a stored block whose padding is not zero, which no encoder writes.
 */
export function deflateFormat(first: number, second: number): "deflate" | "deflate-raw" {
  const isZlib = (first & 0x0f) === 8 && first >>> 4 <= 7 && ((first << 8) | second) % 31 === 0;
  return isZlib ? "deflate" : "deflate-raw";
}
