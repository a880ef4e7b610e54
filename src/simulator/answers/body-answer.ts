import {
  type BodyMutation,
  type BodyResponse,
  type CommonResponse,
  CommonResponse_ResponseStatus,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { BodyPhase } from "../../protocol/phase.ts";
import type { FilterDirection } from "../filter/direction-state.ts";
import type { FilterState } from "../filter/filter-state.ts";
import { isBelowLowLimit } from "../filter/receive-body.ts";
import { sendTrailers } from "../filter/send-message.ts";
import { NO_BYTES } from "../http/byte-buffer.ts";
import { type AnswerProblem, SPURIOUS } from "./answer-problem.ts";
import { mutateHeaders } from "./mutate-headers.ts";
import { clearRouteCache } from "./route-cache.ts";

/** The result of an answer to a piece of a body: a problem, or whether the path continues. */
type Applied = AnswerProblem | { readonly kind: "applied"; readonly goesOn: boolean };

/** Applies an answer to a body, or to a piece of one. */
export function answerBody(
  filter: FilterState,
  state: FilterDirection,
  { response: common }: BodyResponse,
): AnswerProblem | undefined {
  const applied = apply(filter, state, common);
  if (applied.kind !== "applied") return applied;
  clearRouteCache(filter, state, common);
  if (common?.trailers) filter.warn("trailers_ignored", phaseOf(state));
  state.headers = undefined;
  const { trailers, queue } = state;
  if (trailers !== undefined && state.mode.sendTrailers && queue.isEmpty) sendTrailers(filter, state, trailers);
  else if (applied.goesOn || (trailers !== undefined && queue.isEmpty)) state.resumeIfPaused();
  return undefined;
}

function apply(filter: FilterState, state: FilterDirection, common: CommonResponse | undefined): Applied {
  switch (state.waitsFor) {
    case "buffered_body":
      return applyToBuffered(filter, state, common);
    case "buffered_partial_body":
      return applyToPartial(filter, state, common);
    case "streamed_body":
      return applyToStreamed(filter, state, common);
    default:
      return SPURIOUS;
  }
}

/**
 * Applies an answer to a whole body. The headers are still held, so the answer can change them, and they must match the
 * body.
 */
function applyToBuffered(filter: FilterState, state: FilterDirection, common: CommonResponse | undefined): Applied {
  const problem = applyHeaders(filter, state, common);
  if (problem) return problem;
  const mutation = common?.bodyMutation;
  if (mutation) {
    const mismatch = checkContentLength(filter, state, mutation);
    if (mismatch) return mismatch;
    if (mutation.mutation.case === "streamedResponse") filter.warn("streamed_response_ignored", phaseOf(state));
    state.path.buffered?.replace(mutatedBody(mutation, state.path.buffered.bytes()));
  }
  state.clearWatermark();
  state.finishCall();
  return { kind: "applied", goesOn: true };
}

function applyToPartial(filter: FilterState, state: FilterDirection, common: CommonResponse | undefined): Applied {
  const problem = applyHeaders(filter, state, common);
  if (problem) return problem;
  const chunk = state.queue.shift() ?? { bytes: NO_BYTES, endStream: false };
  const bytes = common?.bodyMutation ? mutatedBody(common.bodyMutation, chunk.bytes) : chunk.bytes;
  if (bytes.length > 0) state.path.inject(bytes, chunk.endStream);
  state.finishCall();
  if (state.queue.byteLength > 0) {
    const rest = state.queue.consolidate();
    state.path.inject(rest.bytes, rest.endStream);
    state.queue.clear();
  }
  state.clearWatermark();
  state.partialBodyProcessed = true;
  return { kind: "applied", goesOn: true };
}

/** Applies an answer to the oldest piece, which then continues at once. The headers have continued before. */
function applyToStreamed(filter: FilterState, state: FilterDirection, common: CommonResponse | undefined): Applied {
  const { mode, path, queue } = state;
  const mutation = common?.bodyMutation?.mutation;
  const isDuplex = mode.body === "FULL_DUPLEX_STREAMED";
  if (isDuplex !== (mutation?.case === "streamedResponse")) return isDuplex ? PLAIN_IN_DUPLEX : STREAMED_ELSEWHERE;
  if (common?.headerMutation) filter.warn("header_mutation_too_late", phaseOf(state));
  if (mutation?.case === "streamedResponse") {
    const { body, endOfStream } = mutation.value;
    const opensHeaders = filter.config.release.holdsHeadersForFirstChunk;
    if (body.length > 0 || endOfStream || opensHeaders) path.inject(body, endOfStream);
    // From then on only the server can end the body. If it ends the stream instead, the receiver waits forever.
    const endsAlone = filter.config.release.endsBodyWithoutTrailers;
    if (path.complete && path.trailers === undefined && !endsAlone) state.paused = false;
    state.finishCall(endOfStream ? "idle" : "streamed_body");
    return { kind: "applied", goesOn: endOfStream };
  }
  const chunk = queue.shift() ?? { bytes: NO_BYTES, endStream: false };
  const bytes = common?.bodyMutation ? mutatedBody(common.bodyMutation, chunk.bytes) : chunk.bytes;
  if (bytes.length > 0 || filter.config.release.holdsHeadersForFirstChunk) path.inject(bytes, chunk.endStream);
  if (isBelowLowLimit(filter, state)) state.clearWatermark();
  state.finishCall(queue.isEmpty ? "idle" : "streamed_body");
  return { kind: "applied", goesOn: chunk.endStream };
}

const PLAIN_IN_DUPLEX: AnswerProblem = {
  kind: "spurious",
  details: "spurious message: Normal body mutation response is received while body_mode_ is FULL_DUPLEX_STREAMED",
};
const STREAMED_ELSEWHERE: AnswerProblem = {
  kind: "spurious",
  details: "spurious message: streamed_response is received while body_mode_ is not FULL_DUPLEX_STREAMED",
};

function applyHeaders(
  filter: FilterState,
  state: FilterDirection,
  common: CommonResponse | undefined,
): AnswerProblem | undefined {
  if (!common?.headerMutation) return undefined;
  if (state.headers === undefined) {
    filter.warn("header_mutation_too_late", phaseOf(state));
    return undefined;
  }
  const replacesMessage = common.status === CommonResponse_ResponseStatus.CONTINUE_AND_REPLACE;
  return mutateHeaders(filter, state, { mutation: common.headerMutation, replacesMessage });
}

/** Checks `content-length`. Envoy compares it with the length of `body`, which is 0 for other mutations. */
function checkContentLength(
  filter: FilterState,
  { headers }: FilterDirection,
  { mutation }: BodyMutation,
): AnswerProblem | undefined {
  const announced = headers?.get("content-length");
  if (announced === undefined || !/^\d+$/.test(announced)) return undefined;
  const length = mutation.case === "body" ? mutation.value.length : 0;
  if (Number(announced) === length) return undefined;
  const details = "mismatch between content length and the length of the mutated body";
  return { kind: "invalid", details: filter.config.release.shortDetails ? details.replaceAll(" ", "_") : details };
}

function mutatedBody({ mutation }: BodyMutation, original: Uint8Array): Uint8Array {
  if (mutation.case === "body") return mutation.value;
  return mutation.case === "clearBody" && mutation.value ? NO_BYTES : original;
}

function phaseOf({ direction }: FilterDirection): BodyPhase {
  return direction === "request" ? "requestBody" : "responseBody";
}
