import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  HeaderMutationSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { AnswerMetadata, ContinueAnswer } from "./answer.ts";
import type { HeaderChange } from "./header-mutation.ts";
import { toHeaderMutation } from "./header-mutation.ts";
import { toProcessingMode } from "./mode-override.ts";
import { neutralAnswer } from "./neutral-answer.ts";
import { newHeadersAnswer } from "./new-headers-answer.ts";
import type { HeaderPhase, TrailerPhase } from "./phase.ts";

/** Setting one of these may lead to another route, which Envoy looks for only when it is told to. */
const ROUTING_HEADERS: ReadonlySet<string> = new Set([":path", ":authority", ":method"]);
const NO_FRAMING: HeaderChange = { op: "remove", name: "content-length" };

/**
 * The answer to headers.
 *
 * @param dropLength Removes `content-length`, for a body that may leave with another length than it came with.
 */
export function headersAnswer(phase: HeaderPhase, answer: ContinueAnswer, dropLength: boolean): ProcessingResponse {
  const changes = dropLength ? [...answer.headerChanges, NO_FRAMING] : answer.headerChanges;
  const clearRouteCache =
    phase === "requestHeaders" && (answer.clearRouteCache === true || answer.headerChanges.some(isRouting));
  // Envoy clears the route cache only beside a mutation, which may be an empty one.
  const headerMutation = toHeaderMutation(changes) ?? (clearRouteCache ? create(HeaderMutationSchema) : undefined);
  if (headerMutation === undefined && !carriesMore(answer)) return neutralAnswer(phase)[0] as ProcessingResponse;
  const written = newHeadersAnswer(phase, headerMutation, clearRouteCache);
  if (answer.modeOverride) written.modeOverride = toProcessingMode(answer.modeOverride);
  return addMetadata(written, answer);
}

/** The answer to trailers. */
export function trailersAnswer(phase: TrailerPhase, answer: ContinueAnswer): ProcessingResponse {
  const headerMutation = toHeaderMutation(answer.headerChanges);
  if (headerMutation === undefined && !carriesMore(answer)) return neutralAnswer(phase)[0] as ProcessingResponse;
  const value = headerMutation ? { headerMutation } : {};
  return addMetadata(create(ProcessingResponseSchema, { response: { case: phase, value } }), answer);
}

/** The same message with dynamic metadata. */
export function addMetadata(response: ProcessingResponse, metadata: AnswerMetadata): ProcessingResponse {
  const { dynamicMetadata, typedDynamicMetadata } = metadata;
  if (dynamicMetadata !== undefined) response.dynamicMetadata = dynamicMetadata;
  if (typedDynamicMetadata !== undefined) response.typedDynamicMetadata = { ...typedDynamicMetadata };
  return response;
}

/** A message that asks Envoy to wait so much longer for its answer. It must carry nothing else: Envoy drops the rest. */
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
    answer.dynamicMetadata !== undefined ||
    answer.typedDynamicMetadata !== undefined
  );
}

function isRouting({ name }: HeaderChange): boolean {
  return name.startsWith(":") && ROUTING_HEADERS.has(name);
}
