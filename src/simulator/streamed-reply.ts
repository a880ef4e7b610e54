import { create } from "@bufbuild/protobuf";
import type { HeaderMap as HeaderMapMessage } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  HeaderMutationSchema,
  type HttpHeaders,
  type StreamedImmediateResponse,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { AnswerProblem } from "./answer-problem.ts";
import { stopProcessing } from "./failure.ts";
import type { FilterState } from "./filter-state.ts";
import { HeaderMap } from "./header-map.ts";
import { applyHeaderMutation } from "./header-mutation.ts";

const UNHANDLED: AnswerProblem = { kind: "spurious", details: "unhandled message" };

/**
 * A response that the server sends to the client in pieces: headers, which may only answer the request's, then body and
 * trailers. Nothing of it, and nothing of an upstream's, is asked of the server.
 */
export function respondInPieces(
  filter: FilterState,
  { response }: StreamedImmediateResponse,
): AnswerProblem | undefined {
  if (!filter.config.release.streamedImmediateResponse) return UNHANDLED;
  switch (response.case) {
    case "headersResponse":
      return begin(filter, response.value);
    case "bodyResponse":
      if (filter.streamedReply === "none") return beforeHeaders("body");
      filter.host.streamedReplyData(response.value.body, response.value.endOfStream);
      if (response.value.endOfStream) end(filter);
      return undefined;
    case "trailersResponse": {
      if (filter.streamedReply === "none") return beforeHeaders("trailers");
      const trailers = new HeaderMap("trailers");
      const problem = copyHeaders(filter, response.value, trailers);
      if (problem) return problem;
      filter.host.streamedReplyTrailers(trailers);
      end(filter);
      return undefined;
    }
    default:
      return UNHANDLED;
  }
}

function begin(filter: FilterState, { headers, endOfStream }: HttpHeaders): AnswerProblem | undefined {
  const { request } = filter;
  const mayStream = endOfStream || request.mode.body === "NONE" || request.mode.body === "FULL_DUPLEX_STREAMED";
  if (filter.streamedReply !== "none" || request.waitsFor !== "headers" || !mayStream) {
    return { kind: "spurious", details: "spurious message" };
  }
  const map = new HeaderMap("response");
  const problem = headers && copyHeaders(filter, headers, map);
  if (problem) return problem;
  const status = Number(map.get(":status") ?? Number.NaN);
  if (status < 200) return { kind: "invalid", details: "local_response_invalid_status" };
  filter.streamedReply = "started";
  if (filter.config.release.countsEndings) filter.counters.immediate_responses_sent++;
  filter.repliedLocally = true;
  request.finishCall(request.mode.body === "FULL_DUPLEX_STREAMED" && request.bodyReceived ? "streamed_body" : "idle");
  filter.host.streamedReplyHeaders(map, endOfStream);
  if (endOfStream) end(filter);
  return undefined;
}

function end(filter: FilterState): void {
  filter.streamedReply = "ended";
  stopProcessing(filter);
}

function beforeHeaders(part: "body" | "trailers"): AnswerProblem {
  return { kind: "spurious", details: `local_response_${part}_received_before_headers` };
}

/** The rules for mutations hold for these headers, too. */
function copyHeaders(filter: FilterState, source: HeaderMapMessage, target: HeaderMap): AnswerProblem | undefined {
  const setHeaders = source.headers.map((header) => ({ header, append: true }));
  const details = applyHeaderMutation(create(HeaderMutationSchema, { setHeaders }), target, {
    checker: filter.config.checker,
    replacingMessage: false,
    skipContentLength: false,
    limited: false,
    shortDetails: true,
    countRejected: () => filter.counters.rejected_header_mutations++,
    warn: (code, header) => {
      if (code !== "append_action_ignored") filter.warn(code, undefined, header);
    },
  });
  return details === undefined ? undefined : { kind: "invalid", details };
}
