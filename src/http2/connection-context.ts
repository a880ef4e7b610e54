import type { FairShare } from "../memory/fair-share.ts";
import type { TokenBucket } from "./budget.ts";
import type { ConnectionError, ShedReason } from "./end-reason.ts";
import type { FieldSection } from "./hpack-encoder.ts";
import type { AcceptStream, Http2Peer } from "./http2-stream.ts";
import type { Http2Limits } from "./limits.ts";
import type { Sender } from "./sender.ts";
import type { StreamTable } from "./stream-table.ts";
import type { Http2Totals } from "./totals.ts";

/** What is left of a connection's budgets, see Http2Limits. */
export interface ConnectionBudgets {
  readonly controlFrames: TokenBucket;
  readonly emptyFrames: TokenBucket;
  readonly resetsBeforeWork: TokenBucket;
  readonly streamErrors: TokenBucket;
}

/** What the parts of one connection share. */
export interface ConnectionContext {
  readonly limits: Http2Limits;
  readonly totals: Http2Totals;
  readonly sender: Sender;
  readonly streams: StreamTable;
  readonly budgets: ConnectionBudgets;
  /** Received bytes that handlers hold. */
  readonly messages: FairShare;
  /** Answers that wait to be sent. */
  readonly answers: FairShare;
  /** Its resets cost no budget. */
  readonly isTrusted: boolean;
  readonly peer: Http2Peer;
  readonly accept: AcceptStream;
  /** More fields of the answer 431. */
  readonly tooLargeFields?: FieldSection | undefined;
  /** A stream was refused because its header list is larger than maxHeaderListBytes. */
  readonly onHeadersTooLarge?: ((sizeBytes: number) => void) | undefined;
  /** Called for each request that was refused because its headers are malformed, with the rule that they break. */
  readonly onMalformedRequest?: ((fault: string) => void) | undefined;
  /** Called for each stream that was reset to free memory. */
  readonly onStreamShed?: ((reason: ShedReason) => void) | undefined;
  /** Ends the connection for a reason that came up outside of the frame reader. */
  readonly endConnection: (error: ConnectionError) => void;
  /** Reports an exception out of application code. */
  readonly reportHandlerError: (error: unknown) => void;
}
