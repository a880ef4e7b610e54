import type { TrailersResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { FilterDirection } from "../filter/direction-state.ts";
import type { FilterState } from "../filter/filter-state.ts";
import { type AnswerProblem, SPURIOUS } from "./answer-problem.ts";
import { mutateTrailers } from "./mutate-headers.ts";

/** Applies an answer to trailers. In FULL_DUPLEX_STREAMED the server can send it at any time, and so ends the body. */
export function answerTrailers(
  filter: FilterState,
  state: FilterDirection,
  { headerMutation }: TrailersResponse,
): AnswerProblem | undefined {
  if (state.waitsFor !== "trailers" && state.mode.body !== "FULL_DUPLEX_STREAMED") return SPURIOUS;
  if (headerMutation) {
    const problem = mutateTrailers(filter, state, headerMutation);
    if (problem) return problem;
  }
  state.finishCall();
  // A body that has arrived, and of which nothing was sent, continues too.
  const goesOn = state.trailers !== undefined || !state.bodySent;
  if (goesOn || filter.config.release.endsBodyWithoutTrailers) state.resumeIfPaused();
  return undefined;
}
