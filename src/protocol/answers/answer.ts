import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderChange } from "../headers/header-mutation.ts";
import type { ModeOverride } from "../mode-override.ts";
import type { PhaseMessage } from "../phase.ts";

/** What is said about one message. */
export type Answer = ContinueAnswer | ImmediateAnswer;

/** Lets the transaction go on, changed or not. */
export interface ContinueAnswer extends AnswerMetadata {
  readonly kind: "continue";
  /** Made one after the other. On headers they change the head, on trailers the trailers. */
  readonly headerChanges: readonly HeaderChange[];
  /** Every change is the very object that an answer before may have had. */
  readonly isConstant?: boolean | undefined;
  /** Makes Envoy select the route again. Not needed if `:path`, `:authority` or `:method` change. */
  readonly clearRouteCache?: boolean | undefined;
  /** As `Exchange.resolveModeOverride` gave it. */
  readonly modeOverride?: ModeOverride | undefined;
  /** On headers, CONTINUE_AND_REPLACE: the whole body, instead of the body of the message. */
  readonly wholeBody?: Uint8Array | undefined;
  /** On a body: what replaces this piece. Default: it passes unchanged. */
  readonly body?: BodyChange | undefined;
  /** On a body or trailers: what has to leave first. */
  readonly prelude?: AnswerPrelude | undefined;
}

/** What replaces a piece of a body. In FULL_DUPLEX_STREAMED and GRPC it can be several pieces, or none. */
export interface BodyChange {
  /** The pieces to send instead of the piece that came, in order. */
  readonly pieces: readonly Uint8Array[];
  /** In FULL_DUPLEX_STREAMED: if there is no piece to send, an empty one is sent, as a sign that this one has arrived. */
  readonly answers?: boolean | undefined;
}

/** What was held back until now, of the same direction. */
export interface AnswerPrelude {
  /** The answer to headers that a whole body was awaited for. */
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

/** Dynamic metadata, by namespace; it may go with any answer. */
export interface AnswerMetadata {
  readonly dynamicMetadata?: Readonly<Record<string, JsonObject>> | undefined;
  readonly typedDynamicMetadata?: Readonly<Record<string, Any>> | undefined;
}

/** The answer that lets a message pass as it is. */
export const CONTINUE: ContinueAnswer = { kind: "continue", headerChanges: [] };
