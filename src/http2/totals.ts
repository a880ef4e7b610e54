import { END_REASONS, type EndReason, SHED_REASONS, type ShedReason } from "./end-reason.ts";

/** What the connections of one server have done so far: plain numbers, which the metrics read. */
export interface Http2Totals {
  connectionsOpened: number;
  /** Connections that are open now. */
  connections: number;
  /** Ended connections by reason: counted when the end begins, before the socket has closed. */
  readonly connectionsEnded: Record<EndReason, number>;
  /** Streams passed to the application. */
  streamsOpened: number;
  /** Streams that are open now. */
  streams: number;
  /** Streams that are over while their handler still runs (Http2Stream.hold). */
  streamsHeld: number;
  /** Streams that got REFUSED_STREAM, because there were more than maxConcurrentStreams. */
  streamsRefused: number;
  /** Streams that this server reset because the client broke a rule of HTTP/2 or gRPC, including malformed requests. */
  streamErrors: number;
  /** Streams that this server has reset to free memory, by reason. */
  readonly streamsShed: Record<ShedReason, number>;
  /** Streams whose headers or trailers exceed maxHeaderListBytes: answered with 431, or reset. */
  headerListsTooLarge: number;
  /** RST_STREAM frames received for open streams, before and after the application had begun to work. */
  resetsBeforeWork: number;
  resetsAfterWork: number;
  pingsReceived: number;
  /** For keep-alive and draining. */
  pingsSent: number;
  /** Exceptions that application code threw. Each of them reset one stream. */
  handlerErrors: number;
}

/** Totals that are all 0. */
export function createTotals(): Http2Totals {
  return {
    connectionsOpened: 0,
    connections: 0,
    connectionsEnded: zeroFor(END_REASONS),
    streamsOpened: 0,
    streams: 0,
    streamsHeld: 0,
    streamsRefused: 0,
    streamErrors: 0,
    streamsShed: zeroFor(SHED_REASONS),
    headerListsTooLarge: 0,
    resetsBeforeWork: 0,
    resetsAfterWork: 0,
    pingsReceived: 0,
    pingsSent: 0,
    handlerErrors: 0,
  };
}

/** Returns a count of 0 for each name. */
export function zeroFor<K extends string>(keys: readonly K[]): Record<K, number> {
  return Object.fromEntries(keys.map((key) => [key, 0])) as Record<K, number>;
}
