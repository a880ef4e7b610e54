import type { JsonObject } from "@bufbuild/protobuf";
import type {
  ProcessingRequest,
  ProcessingResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Phase } from "../../protocol/phase.ts";
import type { Counters } from "./counters.ts";

/** A header line as a receiver got it: lower-case name, exact bytes. */
export type ReceivedHeader = readonly [name: string, value: Uint8Array];

/** What the upstream got. */
export interface UpstreamReport {
  /** The name of the route. */
  readonly route: string;
  /** Headers in order, including pseudo-headers. */
  readonly headers: readonly ReceivedHeader[];
  readonly body: Uint8Array;
  readonly trailers: readonly ReceivedHeader[];
  /** `complete`: the request ended. `incomplete`: the upstream still waited for more when the transaction was over. */
  readonly end: "complete" | "incomplete";
  /**
   * Bytes that an HTTP/1 upstream would read as the beginning of another request, because they came after all bytes
   * that `content-length` announced. Empty in every correct transaction.
   */
  readonly smuggled: Uint8Array;
}

/** What the client got. */
export interface ClientReport {
  /** The status; undefined if no response headers came. */
  readonly status: number | undefined;
  /** Headers in order, without `:status`. */
  readonly headers: readonly ReceivedHeader[];
  readonly body: Uint8Array;
  readonly trailers: readonly ReceivedHeader[];
  /**
   * `complete`: the response ended. `reset`: Envoy cut it off, before or after its headers. `aborted`: the client
   * disconnected. `stalled`: Envoy has sent all it has, or waits without a timeout, and the client still waits.
   */
  readonly end: "complete" | "reset" | "aborted" | "stalled";
  /** Bytes after all bytes that `content-length` announced, over HTTP/1. Empty in every correct transaction. */
  readonly surplus: Uint8Array;
}

/** A message on the ext_proc stream. */
export type StreamMessage =
  | { readonly from: "envoy"; readonly atMs: number; readonly message: ProcessingRequest }
  | { readonly from: "server"; readonly atMs: number; readonly message: ProcessingResponse };

/**
 * How Envoy ended its half of the ext_proc stream. `none`: no stream was opened. `reset`: RST_STREAM alone, directly after a
 * message of the server. `half_close_and_reset`: both at once, for any other reason.
 */
export type StreamEnd = "none" | "reset" | "half_close_and_reset";

/** Something that Envoy dropped or that harms the transaction, with a solution. It has no values of headers. */
export interface Warning {
  /** A stable code in snake_case. */
  readonly code: string;
  /** The phase of the server's answer; undefined if the warning is not about a phase. */
  readonly phase: Phase | undefined;
  /** The header that the warning is about, in lower case. */
  readonly header: string | undefined;
  /** What Envoy does, and by which rule. */
  readonly rule: string;
  /** A change that would work. */
  readonly wayOut: string;
}

/** What one HTTP transaction through the simulated Envoy did. */
export interface HttpReport {
  /** Undefined if no upstream got a request. */
  readonly upstream: UpstreamReport | undefined;
  /** What the client got. */
  readonly client: ClientReport;
  /** Every message in both directions, in order. */
  readonly messages: readonly StreamMessage[];
  /** How the stream to the server ended. */
  readonly streamEnd: StreamEnd;
  /** Counters of the filter. */
  readonly counters: Counters;
  /** `%RESPONSE_CODE_DETAILS%`. */
  readonly responseCodeDetails: string;
  /** Dynamic metadata at the end, by namespace: what existed before, and what the server set. */
  readonly dynamicMetadata: Readonly<Record<string, JsonObject>>;
  /** Typed dynamic metadata that the server set: type URL and bytes, by namespace. */
  readonly typedDynamicMetadata: Readonly<Record<string, { readonly typeUrl: string; readonly value: Uint8Array }>>;
  /** What Envoy dropped, or what would harm it. */
  readonly warnings: readonly Warning[];
  /** Virtual milliseconds from the client's headers to the end of the transaction. */
  readonly durationMs: number;
}
