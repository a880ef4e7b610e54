import type { FairShare } from "../memory/fair-share.ts";
import type { ConnectionError, ShedReason } from "./end-reason.ts";
import type { FieldSection } from "./hpack-encoder.ts";
import type { AcceptStream, Http2Peer } from "./http2-stream.ts";
import type { Http2Limits } from "./limits.ts";
import type { Sender } from "./sender.ts";
import type { StreamTable } from "./stream-table.ts";
import type { TokenBucket } from "./token-bucket.ts";
import type { Http2Totals } from "./totals.ts";

/** The rate limits of one connection; see Http2Limits. */
export interface ConnectionBuckets {
  readonly controlFrames: TokenBucket;
  readonly emptyFrames: TokenBucket;
  readonly resetsBeforeWork: TokenBucket;
  readonly streamErrors: TokenBucket;
}

/** Options for streams that the server refuses or resets without asking the application. */
export interface RefusalEvents {
  /**
   * Additional fields of the answer 431 to a request whose headers exceed maxHeaderListBytes, such as a gRPC status.
   */
  readonly tooLargeFields?: FieldSection | undefined;
  /** Called for each stream that was refused because its headers or trailers exceed maxHeaderListBytes. */
  readonly onHeadersTooLarge?: ((sizeBytes: number) => void) | undefined;
  /** Called for each request that was refused because its headers are malformed, with the rule that they break. */
  readonly onMalformedRequest?: ((fault: string) => void) | undefined;
  /** Called for each stream that was reset to free memory. */
  readonly onStreamShed?: ((reason: ShedReason) => void) | undefined;
}

/** What the parts of one connection share. */
export interface ConnectionContext extends RefusalEvents {
  readonly limits: Http2Limits;
  readonly totals: Http2Totals;
  readonly sender: Sender;
  readonly streams: StreamTable;
  readonly buckets: ConnectionBuckets;
  /** Received bytes that handlers hold. */
  readonly messages: FairShare;
  /** Answers that wait to be sent. */
  readonly answers: FairShare;
  /** True if the client is trusted: its resets are not counted. */
  readonly isTrusted: boolean;
  readonly peer: Http2Peer;
  readonly accept: AcceptStream;
  /** Ends the connection for a reason that the frame reader did not find. */
  readonly endConnection: (error: ConnectionError) => void;
  /** Reports an exception that application code threw. */
  readonly reportHandlerError: (error: unknown) => void;
}
