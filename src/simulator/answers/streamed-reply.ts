import { create } from "@bufbuild/protobuf";
import type { HeaderMap as HeaderMapMessage } from "../../../gen/envoy/config/core/v3/base_pb.js";
import {
  HeaderMutationSchema,
  type HttpHeaders,
  type StreamedImmediateResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { bytesToText } from "../../wire/header-text.ts";
import type { FilterState } from "../filter/filter-state.ts";
import { HeaderMap } from "../http/header-map.ts";
import { type AnswerProblem, SPURIOUS } from "./answer-problem.ts";
import { stopProcessing } from "./failure.ts";
import { applyHeaderMutation } from "./header-mutation.ts";
import { sendRest } from "./headers-answer.ts";

const BODY_UNSUPPORTED: AnswerProblem = {
  kind: "spurious",
  details: "streaming local response body is only supported in NONE or FULL_DUPLEX_STREAMED modes",
};
const UNHANDLED: AnswerProblem = { kind: "spurious", details: "unhandled message" };

/**
 * Sends a response of the server to the client in pieces: headers, then body and trailers. The headers must be the
 * answer to the request headers. The server gets no messages about this response, nor about one of an upstream.
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
      filter.callbacks.streamedReplyData(response.value.body, response.value.endOfStream);
      if (response.value.endOfStream) end(filter);
      return undefined;
    case "trailersResponse": {
      if (filter.streamedReply === "none") return beforeHeaders("trailers");
      const trailers = new HeaderMap("trailers");
      const problem = copyHeaders(filter, response.value, trailers);
      if (problem) return problem;
      filter.callbacks.streamedReplyTrailers(trailers);
      end(filter);
      return undefined;
    }
    default:
      return UNHANDLED;
  }
}

function begin(filter: FilterState, { headers, endOfStream }: HttpHeaders): AnswerProblem | undefined {
  const { request, response } = filter;
  response.mode = { sendHeaders: false, sendTrailers: false, body: "NONE" };
  const isDuplex = request.mode.body === "FULL_DUPLEX_STREAMED";
  if (filter.streamedReply !== "none" || request.waitsFor !== "headers") return SPURIOUS;
  if (!endOfStream && !isDuplex && request.mode.body !== "NONE") return BODY_UNSUPPORTED;
  const map = new HeaderMap("response");
  const problem = headers && copyHeaders(filter, headers, map);
  if (problem) return problem;
  filter.streamedReply = "started";
  filter.repliedLocally = true;
  request.finishCall(isDuplex && request.bodyReceived ? "streamed_body" : "idle");
  // In this mode the server still gets the request, and the upstream has its headers.
  if (isDuplex) request.path.resume();
  // What the server has not got of the request is sent first. If this is all, the end of the stream overtakes it.
  if (!isDuplex && request.complete) sendRest(filter, request);
  filter.callbacks.streamedReplyHeaders(map, endOfStream);
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

/** Copies headers. The mutation rules apply to these headers too. */
function copyHeaders(filter: FilterState, source: HeaderMapMessage, target: HeaderMap): AnswerProblem | undefined {
  for (const { key, rawValue } of source.headers) {
    // In these headers a status that does not end a response is an error. In others such an entry is skipped.
    if (key !== ":status" || Number(bytesToText(rawValue)) >= 200) continue;
    filter.counters.rejected_header_mutations++;
    return { kind: "invalid", details: "header_mutation_set_headers_failed" };
  }
  // Rules for the names of mutations do not apply to the status.
  const status = source.headers.findLast(({ key }) => key === ":status");
  if (status !== undefined) target.set(":status", status.rawValue);
  const rest = source.headers.filter((header) => header.key !== ":status");
  // Each header replaces the earlier headers with its name.
  const setHeaders = rest.map((header) => ({ header, append: false }));
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
