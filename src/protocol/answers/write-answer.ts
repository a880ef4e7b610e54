import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  CommonResponse_ResponseStatus,
  type HeaderMutation,
  HeaderMutationSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { answerMadeOf, rememberAnswer } from "../../wire/answer-cache.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import { toHeaderMutation } from "../headers/header-mutation.ts";
import { toProcessingMode } from "../mode-override.ts";
import { directionOf, type HeaderPhase, type Phase, type TrailerPhase } from "../phase.ts";
import type { AnswerMetadata, ContinueAnswer } from "./answer.ts";
import { neutralAnswer } from "./neutral-answer.ts";
import { newHeadersAnswer } from "./new-headers-answer.ts";

/** Setting one of these headers may change the route. Envoy selects the route again only if the answer says so. */
const ROUTE_CHOOSING_HEADERS: ReadonlySet<string> = new Set([":path", ":authority", ":method"]);
const NO_FRAMING: HeaderChange = { op: "remove", name: "content-length" };

/**
 * Makes the answer to headers.
 *
 * @param dropLength Removes `content-length`, for a body whose length may change.
 */
export function headersAnswer(phase: HeaderPhase, answer: ContinueAnswer, dropLength: boolean): ProcessingResponse {
  const changes = dropLength ? [...answer.headerChanges, NO_FRAMING] : answer.headerChanges;
  const isBare = !carriesMore(answer);
  const mayRepeat = isBare && answer.clearRouteCache !== true && changes.length > 0;
  const before = mayRepeat ? answerMadeOf(phase, changes) : undefined;
  if (before !== undefined) return before;
  const routed = routedMutation(phase, changes, answer.clearRouteCache);
  if (routed === undefined && isBare) return neutralAnswer(phase)[0] as ProcessingResponse;
  const { wholeBody } = answer;
  const written = wholeBody ? replacingAnswer(phase, routed, wholeBody) : newHeadersAnswer(phase, routed);
  if (mayRepeat) rememberAnswer(phase, changes, written);
  if (answer.modeOverride) written.modeOverride = toProcessingMode(answer.modeOverride);
  return addMetadata(written, answer);
}

/**
 * Returns the header changes in the form of an answer; undefined if there are none. In a request, Envoy selects the
 * route again if a handler wants it or a change needs it. Envoy does so only if the answer has a mutation, which may be
 * empty.
 */
export function routedMutation(
  phase: Phase,
  changes: readonly HeaderChange[],
  wantsRoute: boolean | undefined,
): RoutedMutation | undefined {
  const clearRouteCache = directionOf(phase) === "request" && (wantsRoute === true || changes.some(isRouting));
  const headerMutation = toHeaderMutation(changes) ?? (clearRouteCache ? create(HeaderMutationSchema) : undefined);
  if (headerMutation === undefined) return undefined;
  return { headerMutation, clearRouteCache };
}

/** A mutation, and whether Envoy must select the route again after it. */
export interface RoutedMutation {
  readonly headerMutation: HeaderMutation;
  readonly clearRouteCache: boolean;
}

/**
 * Makes a CONTINUE_AND_REPLACE answer: Envoy takes the body from it, removes `content-length`, and sends nothing more
 * of this direction.
 */
function replacingAnswer(phase: HeaderPhase, routed: RoutedMutation | undefined, body: Uint8Array): ProcessingResponse {
  const bodyMutation = { mutation: { case: "body" as const, value: body } };
  const response = {
    status: CommonResponse_ResponseStatus.CONTINUE_AND_REPLACE,
    bodyMutation,
    ...routed,
  };
  return create(ProcessingResponseSchema, { response: { case: phase, value: { response } } });
}

/** Makes the answer to trailers. */
export function trailersAnswer(phase: TrailerPhase, answer: ContinueAnswer): ProcessingResponse {
  const headerMutation = toHeaderMutation(answer.headerChanges);
  if (headerMutation === undefined && !carriesMore(answer)) return neutralAnswer(phase)[0] as ProcessingResponse;
  const value = headerMutation ? { headerMutation } : {};
  return addMetadata(create(ProcessingResponseSchema, { response: { case: phase, value } }), answer);
}

/** Adds dynamic metadata to a message. */
export function addMetadata(response: ProcessingResponse, metadata: AnswerMetadata): ProcessingResponse {
  const { dynamicMetadata, typedDynamicMetadata } = metadata;
  if (dynamicMetadata !== undefined) response.dynamicMetadata = dynamicMetadata;
  if (typedDynamicMetadata !== undefined) response.typedDynamicMetadata = { ...typedDynamicMetadata };
  return response;
}

/**
 * Makes a message that asks Envoy to wait this much longer for its answer. It must carry nothing else, because Envoy
 * drops the rest.
 */
export function timeoutExtension(ms: number): ProcessingResponse {
  const overrideMessageTimeout: MessageInitShape<typeof ProcessingResponseSchema>["overrideMessageTimeout"] = {
    seconds: BigInt(Math.floor(ms / 1000)),
    nanos: Math.round((ms % 1000) * 1e6),
  };
  return create(ProcessingResponseSchema, { overrideMessageTimeout });
}

function carriesMore(answer: ContinueAnswer): boolean {
  return (
    answer.modeOverride !== undefined ||
    answer.wholeBody !== undefined ||
    answer.dynamicMetadata !== undefined ||
    answer.typedDynamicMetadata !== undefined
  );
}

/** True for a change after which Envoy must select the route again. */
export function isRouting({ name }: HeaderChange): boolean {
  return name.startsWith(":") && ROUTE_CHOOSING_HEADERS.has(name);
}
