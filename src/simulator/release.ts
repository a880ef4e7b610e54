import type { EnvoyVersion } from "./filter-settings.ts";

/** What differs between releases of Envoy. Every line was seen on real ones. */
export interface Release {
  /** The stream is closed as soon as no answer can be needed any more; before, when the transaction is over. */
  readonly closesStreamEarly: boolean;
  /** `server_half_closed` and `immediate_responses_sent` are counted. */
  readonly countsEndings: boolean;
  /** Errors in mutations have short, fixed texts; before, whole sentences with numbers. */
  readonly shortDetails: boolean;
  readonly streamedImmediateResponse: boolean;
  readonly allowContentLengthHeader: boolean;
  /** In STREAMED the headers wait for the first answer to a chunk; FULL_DUPLEX_STREAMED responses too. */
  readonly holdsHeadersForFirstChunk: boolean;
  /** An empty piece of a body that does not end it is sent to the server. */
  readonly sendsEmptyChunks: boolean;
  /** A message with nothing but `mode_override` is taken while the answer to headers is awaited. */
  readonly directModeOverride: boolean;
  readonly typedDynamicMetadata: boolean;
}

const RELEASE_1_38: Release = {
  closesStreamEarly: true,
  countsEndings: true,
  shortDetails: true,
  streamedImmediateResponse: true,
  allowContentLengthHeader: true,
  holdsHeadersForFirstChunk: false,
  sendsEmptyChunks: true,
  directModeOverride: false,
  typedDynamicMetadata: false,
};

const RELEASES: Readonly<Record<EnvoyVersion, Release>> = {
  "1.36": {
    ...RELEASE_1_38,
    closesStreamEarly: false,
    countsEndings: false,
    shortDetails: false,
    streamedImmediateResponse: false,
    allowContentLengthHeader: false,
  },
  "1.38": RELEASE_1_38,
  "1.39": { ...RELEASE_1_38, holdsHeadersForFirstChunk: true },
  "1.40": { ...RELEASE_1_38, sendsEmptyChunks: false, directModeOverride: true, typedDynamicMetadata: true },
};

/** What an Envoy of that release line does. */
export function releaseOf(version: EnvoyVersion): Release {
  return RELEASES[version];
}
