import { DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES } from "./flow-control.ts";
import type { RateLimit } from "./token-bucket.ts";

/**
 * What one connection may cost this server, in memory, work and time. Each number is the server's decision. HTTP/2 lets a
 * server announce some of them: they are sent in its first SETTINGS frame. A timeout of 0 is off. A timeout fires up to
 * one `tickIntervalMs` late.
 *
 * Memory that grows with what a client sends, or does not read, counts in the memory account (Http2Memory): received bytes
 * that the application holds, and answers that wait. In addition a connection holds at most maxHeaderListBytes of an
 * unfinished header block, one frame, 32 KiB of output and 8 KiB for each stream (32 KiB for each Connect call).
 * test/network/connection-memory.test.ts measures it.
 */
export interface Http2Limits {
  /**
   * Streams at once, announced; further streams get REFUSED_STREAM, which clients may retry. Handlers that outlive their
   * stream (Http2Stream.hold) count too, see uncountedHolds. Default 500: proxies open another connection for more streams.
   * Envoy closes a connection on which more than 1,000 of its own RST_STREAM frames wait. They wait for a moment when all
   * streams end at once.
   */
  readonly maxConcurrentStreams: number;
  /**
   * Streams at once until the client has acknowledged the SETTINGS (RFC 9113 section 6.5.3), if this is larger than
   * maxConcurrentStreams. Only then does the client know maxConcurrentStreams. Default 1024: what Envoy assumes on a new
   * connection.
   */
  readonly maxEarlyStreams: number;
  /**
   * Held streams in the whole server up to which none counts towards maxConcurrentStreams. A dependency that hangs leaves
   * many held streams in seconds. If they counted at once, other requests on the connection would be rejected with them.
   * Default 0: the application knows what a held stream costs it.
   */
  readonly uncountedHolds: number;
  /**
   * Size of a decoded header list, 32 bytes per field included (RFC 7541 section 4.1), announced. A request with a longer
   * list is answered 431; its header block is decoded to the end and not kept (RFC 9113 section 10.5.1). Default 256 KiB:
   * Envoy accepts 60 KiB from a client, and `initial_metadata` can copy that several times.
   */
  readonly maxHeaderListBytes: number;
  /**
   * Size of a header block as received, HEADERS and CONTINUATION together; a longer one ends the connection. Default
   * 32 MiB: no memory grows with it, and it is more than Envoy sends. Envoy's largest `max_request_headers_kb` is 8 MiB.
   */
  readonly maxHeaderBlockBytes: number;
  /** CONTINUATION frames per header block; more end the connection. Default 2,048: 32 MiB in frames of 16 KiB. */
  readonly maxContinuations: number;
  /**
   * Bytes that one header block may decode to beyond its own size: 32 for each field, and the table entries that it refers
   * to. Above it the block is an HPACK bomb, which ends the connection. Default 1 MiB: a list of long values stays far
   * below it, whatever its size. A block of references to one large table entry does not.
   */
  readonly maxHeaderExpansionBytes: number;
  /**
   * Receive window of the connection, at least 65,535. It is refilled as soon as bytes arrive, so that a paused stream
   * stops no other stream. Default 16 MiB: many fast uploads at once.
   */
  readonly connectionWindowBytes: number;
  /**
   * Receive window of each stream, announced, at least 65,535 (a client may use that much before it has seen SETTINGS).
   * A client sends a paused stream at most this many bytes. Default 256 KiB: faster clients gain nothing from more on a
   * network with 1 ms of delay.
   */
  readonly streamWindowBytes: number;
  /** Payload of a received frame, announced, 16,384 to 16,777,215. Default 16,384: larger frames only delay others. */
  readonly maxFrameBytes: number;
  /** Dynamic table of the HPACK decoder, announced. Default 4096, HTTP/2's own default. */
  readonly headerTableBytes: number;
  /**
   * Bytes that the socket has and the kernel has not taken, above which no DATA is sent and nothing is read. Bytes above
   * 32 KiB count as waiting answers. If waiting answers have no room left, the mark is 32 KiB.
   * Default 256 KiB: it is what waits in front of a control frame, and what a client costs that does not read.
   */
  readonly outputHighWaterBytes: number;
  /**
   * Bytes of one stream that wait for its windows; above it Http2Stream.write returns false and the stream's receive
   * window is not refilled. Default 64 KiB.
   */
  readonly streamQueueHighWaterBytes: number;
  /** SETTINGS, PING, PRIORITY, GOAWAY, unknown frames, and frames on closed streams. Default 10,000 and 2,000 a second. */
  readonly controlFrames: RateLimit;
  /** DATA frames without data or END_STREAM. Default 1,000 and 100 a second: some clients flush with one. */
  readonly emptyFrames: RateLimit;
  /**
   * Resets by the client before the application has begun to work on the stream ("rapid reset"). Default 10,000 and 2,000
   * a second; not counted on trusted connections. Streams that break gRPC's rules or whose deadline passes
   * (Http2Stream.chargeReset) cost as much; Envoy sends neither. Resets of other streams are free: proxies end every
   * stream with a reset.
   */
  readonly resetsBeforeWork: RateLimit;
  /**
   * Open streams that this server must reset because the client broke a rule. Default 1,000 and 100 a second. Malformed
   * requests are reset too and are not counted here: clients can make a proxy send them.
   */
  readonly streamErrors: RateLimit;
  /** Time from the start until the preface and first SETTINGS have arrived. Default 10 s. */
  readonly prefaceTimeoutMs: number;
  /** Time until the server's SETTINGS are acknowledged (RFC 9113 section 6.5.3). Default 30 s: a busy client may be late. */
  readonly settingsAckTimeoutMs: number;
  /** Time that half a frame, or half a header block, may wait for its rest; a DATA frame for its next byte. Default 20 s. */
  readonly partialFrameTimeoutMs: number;
  /** Time that output may wait for the client's kernel to take it. Default 60 s: proxies stop reading under memory pressure. */
  readonly writeStallTimeoutMs: number;
  /**
   * Time that half a message which the application holds (Http2Stream.holdReceived) may wait for more of it; then the stream
   * is reset. A stream that is not read, because it is paused or its answers wait, has no such timeout. Default 30 s.
   */
  readonly messageStallTimeoutMs: number;
  /** Time that DATA may wait in a stream while the client's windows let none of it out; then the stream is reset. Default 60 s. */
  readonly answerStallTimeoutMs: number;
  /** Time without an open stream until the connection is drained. Default 0, off: clients keep theirs for the next request. */
  readonly idleTimeoutMs: number;
  /** Time without a received byte until a PING is sent. Default 30 s: keeps entries in network address tables alive. */
  readonly keepAliveIntervalMs: number;
  /** Time from that PING until a byte arrives; then the connection is closed. Default 20 s. */
  readonly keepAliveTimeoutMs: number;
  /** Age at which a connection is drained, ±10 % so that clients do not all come back at once. Default 0, off. */
  readonly maxConnectionAgeMs: number;
  /**
   * Time from the last GOAWAY of such a connection until its remaining streams are cut off; not rounded up to a tick.
   * Default 0, never.
   */
  readonly maxConnectionAgeGraceMs: number;
  /** Time that a drain waits for the PING that shows that the client has its GOAWAY. Default 2 s: a slow round trip. */
  readonly drainPingTimeoutMs: number;
  /** Time that the client may take to close its side after the last frame; then the socket is destroyed. Default 1 s. */
  readonly closeTimeoutMs: number;
  /** Interval in which the timeouts are checked. Default 500 ms: one timer for all connections of a server. */
  readonly tickIntervalMs: number;
}

/** Limits as a caller gives them: an omitted limit has its default. */
export type Http2LimitsInit = { readonly [K in keyof Http2Limits]?: Http2Limits[K] | undefined };

/** The defaults. Each field of Http2Limits says why. */
export const DEFAULT_HTTP2_LIMITS: Http2Limits = {
  maxConcurrentStreams: 500,
  maxEarlyStreams: 1024,
  uncountedHolds: 0,
  maxHeaderListBytes: 256 * 1024,
  maxHeaderBlockBytes: 32 * 1024 * 1024,
  maxContinuations: 2048,
  maxHeaderExpansionBytes: 1024 * 1024,
  connectionWindowBytes: 16 * 1024 * 1024,
  streamWindowBytes: 256 * 1024,
  maxFrameBytes: 16_384,
  headerTableBytes: 4096,
  outputHighWaterBytes: 256 * 1024,
  streamQueueHighWaterBytes: 64 * 1024,
  controlFrames: { burst: 10_000, perSecond: 2_000 },
  emptyFrames: { burst: 1_000, perSecond: 100 },
  resetsBeforeWork: { burst: 10_000, perSecond: 2_000 },
  streamErrors: { burst: 1_000, perSecond: 100 },
  prefaceTimeoutMs: 10_000,
  settingsAckTimeoutMs: 30_000,
  partialFrameTimeoutMs: 20_000,
  writeStallTimeoutMs: 60_000,
  messageStallTimeoutMs: 30_000,
  answerStallTimeoutMs: 60_000,
  idleTimeoutMs: 0,
  keepAliveIntervalMs: 30_000,
  keepAliveTimeoutMs: 20_000,
  maxConnectionAgeMs: 0,
  maxConnectionAgeGraceMs: 0,
  drainPingTimeoutMs: 2_000,
  closeTimeoutMs: 1_000,
  tickIntervalMs: 500,
};

type NumericLimit = { [K in keyof Http2Limits]: Http2Limits[K] extends number ? K : never }[keyof Http2Limits];
type RateLimitName = Exclude<keyof Http2Limits, NumericLimit>;

const RATE_LIMITS: readonly RateLimitName[] = ["controlFrames", "emptyFrames", "resetsBeforeWork", "streamErrors"];

const MAX_UINT32 = 0xffff_ffff;

/** Smallest and largest value of a limit, if they are not 0 and 2^31-1. */
const RANGES: Partial<Record<NumericLimit, readonly [min: number, max: number]>> = {
  maxConcurrentStreams: [1, MAX_UINT32],
  maxHeaderListBytes: [1024, MAX_UINT32],
  maxHeaderBlockBytes: [1024, MAX_UINT32],
  maxHeaderExpansionBytes: [1024, MAX_UINT32],
  connectionWindowBytes: [DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES],
  streamWindowBytes: [DEFAULT_WINDOW_BYTES, MAX_WINDOW_BYTES],
  maxFrameBytes: [16_384, 16_777_215],
  headerTableBytes: [0, 1024 * 1024],
  outputHighWaterBytes: [16_384, MAX_UINT32],
  closeTimeoutMs: [1, MAX_WINDOW_BYTES],
  tickIntervalMs: [1, 60_000],
};

/**
 * Completes and checks limits: once, when a server is set up. A field that is undefined takes its default.
 *
 * @throws RangeError naming the field, its value and what is allowed.
 */
export function resolveHttp2Limits(given: Http2LimitsInit = {}) {
  const set = Object.entries(given).filter(([, value]) => value !== undefined);
  const limits: Http2Limits = { ...DEFAULT_HTTP2_LIMITS, ...Object.fromEntries(set) };
  for (const name of Object.keys(limits)) {
    if (!(name in DEFAULT_HTTP2_LIMITS)) throw new RangeError(`${name}: no such limit`);
  }
  for (const name of RATE_LIMITS) {
    const { burst, perSecond } = limits[name];
    if (!(burst >= 0 && perSecond >= 0)) {
      throw new RangeError(`${name}: burst ${burst} and perSecond ${perSecond}: neither may be negative`);
    }
  }
  for (const name of Object.keys(DEFAULT_HTTP2_LIMITS) as (keyof Http2Limits)[]) {
    const value = limits[name];
    if (typeof value !== "number") continue;
    const [min, max] = RANGES[name as NumericLimit] ?? [0, MAX_WINDOW_BYTES];
    if (!Number.isInteger(value) || value < min || value > max) {
      throw new RangeError(`${name}: ${value} is not a whole number from ${min} to ${max}`);
    }
  }
  return Object.freeze(limits);
}
