import type { HeaderMutation } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Phase } from "../../protocol/phase.ts";
import type { FilterDirection } from "../filter/direction-state.ts";
import type { FilterState } from "../filter/filter-state.ts";
import { removesContentLength } from "../filter/receive-http.ts";
import type { HeaderMap } from "../http/header-map.ts";
import type { AnswerProblem } from "./answer-problem.ts";
import { applyHeaderMutation } from "./header-mutation.ts";

/** Applies an answer's mutation to the headers of a direction, which are still held. */
export function mutateHeaders(
  filter: FilterState,
  state: FilterDirection,
  { mutation, replacesMessage }: { readonly mutation: HeaderMutation; readonly replacesMessage: boolean },
): AnswerProblem | undefined {
  if (state.headers === undefined) return undefined;
  return mutate(filter, {
    mutation,
    headers: state.headers,
    replacesMessage,
    skipContentLength: removesContentLength(filter, state),
    phase: state.direction === "request" ? "requestHeaders" : "responseHeaders",
  });
}

/** Applies an answer's mutation to trailers. */
export function mutateTrailers(
  filter: FilterState,
  state: FilterDirection,
  mutation: HeaderMutation,
): AnswerProblem | undefined {
  if (state.trailers === undefined) return undefined;
  return mutate(filter, {
    mutation,
    headers: state.trailers,
    replacesMessage: false,
    skipContentLength: false,
    phase: state.direction === "request" ? "requestTrailers" : "responseTrailers",
  });
}

/** Applies the mutation of an immediate response. Envoy sends the response even if the mutation fails. */
export function mutateReplyHeaders(filter: FilterState, headers: HeaderMap, mutation: HeaderMutation): void {
  const problem = mutate(filter, {
    mutation,
    headers,
    replacesMessage: false,
    skipContentLength: false,
    phase: undefined,
  });
  if (problem) filter.warn("immediate_headers_cut", undefined);
}

function mutate(
  filter: FilterState,
  change: {
    readonly mutation: HeaderMutation;
    readonly headers: HeaderMap;
    readonly replacesMessage: boolean;
    readonly skipContentLength: boolean;
    /** Undefined for a reply that Envoy makes itself, which has no limits. */
    readonly phase: Phase | undefined;
  },
): AnswerProblem | undefined {
  const { mutation, headers, phase, replacesMessage, skipContentLength } = change;
  const details = applyHeaderMutation(mutation, headers, {
    checker: filter.config.checker,
    replacingMessage: replacesMessage,
    skipContentLength,
    limited: phase !== undefined,
    shortDetails: filter.config.release.shortDetails,
    countRejected: () => filter.counters.rejected_header_mutations++,
    warn: (code, header) => filter.warn(code, phase, header),
  });
  return details === undefined ? undefined : { kind: "invalid", details };
}
