import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderChange } from "../headers/header-mutation.ts";
import type { ModeOverride } from "../mode-override.ts";
import type { PhaseMessage } from "../phase.ts";

/** The answer to one message. */
export type Answer = ContinueAnswer | ImmediateAnswer;

/** Lets the transaction continue, changed or unchanged. */
export interface ContinueAnswer extends AnswerMetadata {
  readonly kind: "continue";
  /** Applied in order. In a header phase they change the headers, in a trailer phase the trailers. */
  readonly headerChanges: readonly HeaderChange[];
  /** Makes Envoy select the route again. Not needed if `:path`, `:authority` or `:method` change. */
  readonly clearRouteCache?: boolean | undefined;
  /** The result of `MessageExchange.resolveModeOverride`. */
  readonly modeOverride?: ModeOverride | undefined;
  /** On headers: the whole body, with CONTINUE_AND_REPLACE, instead of the body of the message. */
  readonly wholeBody?: Uint8Array | undefined;
  /** On a body: what replaces this piece. Default: it passes unchanged. */
  readonly body?: BodyChange | undefined;
  /** On a body or trailers: what must be sent before this answer. */
  readonly prelude?: AnswerPrelude | undefined;
}

/** What replaces a piece of a body. In FULL_DUPLEX_STREAMED and GRPC it can be several pieces, or none. */
export interface BodyChange {
  /** The pieces to send instead of the piece that came, in order. */
  readonly pieces: readonly Uint8Array[];
  /**
   * In FULL_DUPLEX_STREAMED: if there is no piece to send, an empty piece is sent, so that Envoy knows that its piece
   * arrived.
   */
  readonly answers?: boolean | undefined;
}

/** Answers of the same direction that were held back until now. */
export interface AnswerPrelude {
  /** The answer to headers that waited for a whole body. */
  readonly headers?: { readonly message: PhaseMessage; readonly answer: ContinueAnswer } | undefined;
  /** The rest of a full-duplex body, before its trailers. */
  readonly pieces?: readonly Uint8Array[] | undefined;
}

/** Ends the transaction with a response to the client. */
export interface ImmediateAnswer extends AnswerMetadata {
  readonly kind: "immediate";
  /** One `immediateResponse`, or the messages of a `streamedImmediateResponse`. */
  readonly responses: readonly ProcessingResponse[];
}

/** Dynamic metadata, by namespace. Any answer can carry it. */
export interface AnswerMetadata {
  readonly dynamicMetadata?: Readonly<Record<string, JsonObject>> | undefined;
  readonly typedDynamicMetadata?: Readonly<Record<string, Any>> | undefined;
}

/** The answer that lets a message pass unchanged. */
export const CONTINUE: ContinueAnswer = { kind: "continue", headerChanges: [] };
