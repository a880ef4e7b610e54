import type { EnvoyVersion } from "./simulated-envoy-settings.ts";

/** The differences between releases of Envoy. Each one was measured with a real Envoy. */
export interface Release {
  /**
   * When the stream is closed: after the transaction; with the last answer of the response, or of the request if
   * nothing of the response is sent; or after the last answers of both directions.
   */
  readonly closesStream: "when_over" | "with_last_answer" | "with_both_last_answers";
  /** `server_half_closed` and `immediate_responses_sent` are counted. */
  readonly countsEndings: boolean;
  /** Errors in mutations have short, fixed texts. Earlier releases had whole sentences with numbers. */
  readonly shortDetails: boolean;
  readonly streamedImmediateResponse: boolean;
  readonly allowContentLengthHeader: boolean;
  /** In STREAMED and FULL_DUPLEX_STREAMED the headers wait for the first answer to a chunk. */
  readonly holdsHeadersForFirstChunk: boolean;
  /** An empty piece of a body that does not end it is sent to the server. */
  readonly sendsEmptyChunks: boolean;
  /**
   * The empty end of a body that has arrived before an override to FULL_DUPLEX_STREAMED is sent. In earlier releases it
   * hangs.
   */
  readonly sendsHeldEmptyEnd: boolean;
  /** A message with only `mode_override` can come before the answer to request headers. */
  readonly directModeOverride: boolean;
  readonly typedDynamicMetadata: boolean;
  /** An answer to trailers that never came ends a FULL_DUPLEX_STREAMED body. In later releases nothing continues. */
  readonly endsBodyWithoutTrailers: boolean;
  /** Responses that Envoy makes itself pass the filter, and so the server, like those of an upstream. */
  readonly sendsLocalReplies: boolean;
  /** In observability mode attributes of the request have values. */
  readonly observesRequestAttributes: boolean;
}

const RELEASE_1_38: Release = {
  closesStream: "with_last_answer",
  countsEndings: true,
  shortDetails: true,
  streamedImmediateResponse: true,
  allowContentLengthHeader: true,
  holdsHeadersForFirstChunk: false,
  sendsEmptyChunks: true,
  sendsHeldEmptyEnd: false,
  directModeOverride: false,
  typedDynamicMetadata: false,
  endsBodyWithoutTrailers: false,
  sendsLocalReplies: true,
  observesRequestAttributes: true,
};

const RELEASES: Readonly<Record<EnvoyVersion, Release>> = {
  "1.36": {
    ...RELEASE_1_38,
    closesStream: "when_over",
    countsEndings: false,
    shortDetails: false,
    streamedImmediateResponse: false,
    allowContentLengthHeader: false,
    endsBodyWithoutTrailers: true,
    sendsLocalReplies: false,
    observesRequestAttributes: false,
  },
  "1.38": RELEASE_1_38,
  "1.39": { ...RELEASE_1_38, closesStream: "with_both_last_answers", holdsHeadersForFirstChunk: true },
  "1.40": {
    ...RELEASE_1_38,
    closesStream: "with_both_last_answers",
    sendsEmptyChunks: false,
    sendsHeldEmptyEnd: true,
    directModeOverride: true,
    typedDynamicMetadata: true,
  },
};

/** Returns how an Envoy of this release line behaves. */
export function releaseOf(version: EnvoyVersion): Release {
  return RELEASES[version];
}
