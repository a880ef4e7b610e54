import type { JsonObject } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { HeaderChange } from "./header-mutation.ts";
import type { ModeOverride } from "./mode-override.ts";

/** What is said about one message. */
export type Answer = ContinueAnswer | ImmediateAnswer;

/** Lets the transaction go on, changed or not. */
export interface ContinueAnswer extends AnswerMetadata {
  readonly kind: "continue";
  /** Made one after the other. On headers they change the head, on trailers the trailers. */
  readonly headerChanges: readonly HeaderChange[];
  /** Has Envoy choose the route anew. It need not be said where `:path`, `:authority` or `:method` change. */
  readonly clearRouteCache?: boolean | undefined;
  /** As `Exchange.resolveModeOverride` gave it. */
  readonly modeOverride?: ModeOverride | undefined;
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
