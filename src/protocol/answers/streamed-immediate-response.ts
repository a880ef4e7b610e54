import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { HeaderValue } from "../../../gen/envoy/config/core/v3/base_pb.js";
import {
  type ProcessingResponse,
  ProcessingResponseSchema,
  type StreamedImmediateResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Problem } from "../../text/problem.ts";
import { textToBytes } from "../../wire/header-text.ts";
import { type HeaderValues, refuseStatus, replyHeaders } from "./immediate-response.ts";
import { MAX_STREAMED_CHUNK_BYTES } from "./neutral-answer.ts";

/** A response to the client in several messages. Envoy sends each one on as it comes (Envoy 1.37 and later). */
export interface StreamedImmediateResponseInit {
  /** HTTP status code, 200 to 999. */
  readonly status: number;
  /** Headers, by name, with one value each. Envoy's `mutation_rules` apply to them. */
  readonly headers?: Readonly<Record<string, HeaderValues>> | undefined;
  /** The body in pieces. Pieces above 64 KiB are cut, and empty ones are left out. */
  readonly chunks?: readonly Uint8Array[] | undefined;
  /** Trailers, by name, with one value each, after the body. */
  readonly trailers?: Readonly<Record<string, HeaderValues>> | undefined;
}

/**
 * Makes the messages of a streamed immediate response, or says why Envoy would not send it unchanged. The last message
 * ends the response. A response without an end would hang until Envoy's idle timeout.
 */
export function toStreamedImmediateResponse(
  init: StreamedImmediateResponseInit,
): readonly ProcessingResponse[] | Problem {
  const pieces = (init.chunks ?? []).flatMap(cut);
  const problem = refuseStatus(init.status, pieces.length > 0);
  if (problem !== undefined) return { problem };
  const headers = headerValues(init.headers);
  if ("problem" in headers) return headers;
  const trailers = headerValues(init.trailers);
  if ("problem" in trailers) return { problem: `in trailers, ${trailers.problem}` };
  const status = { key: ":status", rawValue: textToBytes(String(init.status)) };
  const endsWithTrailers = trailers.length > 0;
  const endsWithHeaders = pieces.length === 0 && !endsWithTrailers;
  const head = message({
    case: "headersResponse",
    value: { headers: { headers: [status, ...headers] }, endOfStream: endsWithHeaders },
  });
  const body = pieces.map((piece, index) => {
    const endOfStream = !endsWithTrailers && index === pieces.length - 1;
    return message({ case: "bodyResponse", value: { body: piece, endOfStream } });
  });
  const tail = endsWithTrailers ? [message({ case: "trailersResponse", value: { headers: trailers } })] : [];
  return [head, ...body, ...tail];
}

function message(response: MessageInitShape<typeof StreamedImmediateResponseSchema>["response"]): ProcessingResponse {
  return create(ProcessingResponseSchema, {
    response: { case: "streamedImmediateResponse", value: response ? { response } : {} },
  });
}

function headerValues(headers: StreamedImmediateResponseInit["headers"]): HeaderValue[] | Problem {
  const options = replyHeaders(headers);
  if ("problem" in options) return options;
  const repeated = options.find(({ append, header }) => append === true && header)?.header;
  if (repeated) return { problem: `header "${repeated.key}" has several values, of which Envoy would send the last` };
  return options.flatMap(({ header }) => (header ? [header] : []));
}

function cut(chunk: Uint8Array): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let start = 0; start < chunk.length; start += MAX_STREAMED_CHUNK_BYTES)
    pieces.push(chunk.subarray(start, start + MAX_STREAMED_CHUNK_BYTES));
  return pieces;
}
