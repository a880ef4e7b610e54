import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type CommonResponseSchema,
  type HttpBody,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { joinBytes } from "../../bodies/owned-bytes.ts";
import { textToBytes } from "../../wire/header-text.ts";
import { type BodyMode, returnsBody } from "../body-mode.ts";
import type { HeaderChange } from "../headers/header-mutation.ts";
import { type HeaderFields, hasHeader } from "../headers/headers.ts";
import type { BodyPhase } from "../phase.ts";
import type { ContinueAnswer } from "./answer.ts";
import { MAX_STREAMED_CHUNK_BYTES, neutralBodyAnswers, streamedBody } from "./neutral-answer.ts";
import { addMetadata, routedMutation } from "./write-answer.ts";

/** What the answers to a body depend on. */
export interface BodyAnswerSituation {
  readonly mode: BodyMode | undefined;
  /** The headers with the changes made so far; empty if Envoy did not send them. */
  readonly fields: HeaderFields;
  /** False if Envoy's `mutation_rules`, as declared, protect `content-length`: the body has the same length as before. */
  readonly maySetLength: boolean;
}

/** True if the answer to a piece of a body lets it pass, and does nothing else. */
export function isNeutralBody(answer: ContinueAnswer): boolean {
  return (
    answer.body === undefined &&
    answer.headerChanges.length === 0 &&
    answer.clearRouteCache !== true &&
    answer.dynamicMetadata === undefined &&
    answer.typedDynamicMetadata === undefined
  );
}

/** Makes the messages that change a piece of a body or carry something in addition to it. */
export function bodyAnswers(
  { case: phase, value }: { readonly case: BodyPhase; readonly value: HttpBody },
  answer: ContinueAnswer,
  situation: BodyAnswerSituation,
): readonly ProcessingResponse[] {
  const { mode } = situation;
  const bytes = answer.body?.pieces;
  if (!returnsBody(mode)) return [addMetadata(mutatedBody(phase, answer, situation), answer)];
  const { endOfStream, endOfStreamWithoutMessage } = value;
  const isEnd = endOfStream || endOfStreamWithoutMessage;
  const responses = bytes
    ? mode === "GRPC"
      ? grpcPieces(phase, value, bytes)
      : streamedPieces(phase, bytes, isEnd)
    : [...neutralBodyAnswers(phase, value, mode)];
  if (responses.length === 0 && answer.body?.answers) responses.push(streamedBody(phase, {}));
  const [first] = responses;
  const carriesMore = answer.dynamicMetadata !== undefined || answer.typedDynamicMetadata !== undefined;
  if (first && carriesMore) addMetadata(first, answer);
  // Metadata needs a message that carries it, and an empty piece changes nothing.
  else if (carriesMore) responses.push(addMetadata(streamedBody(phase, {}), answer));
  return responses;
}

/**
 * More pieces than this are joined into messages of 64 KiB. A message costs the server and Envoy as much as several KiB of
 * body, so a handler that yields a body byte by byte would keep both busy.
 */
const MANY_PIECES = 64;

/** Pieces of a full-duplex body, none of them above 64 KiB. At its end there is at least one, to carry it. */
export function streamedPieces(
  phase: BodyPhase,
  pieces: readonly Uint8Array[],
  endOfStream = false,
): ProcessingResponse[] {
  const parts: Uint8Array[] = [];
  for (const piece of pieces.length > MANY_PIECES ? [joinBytes(pieces)] : pieces) {
    for (let start = 0; start < piece.length; start += MAX_STREAMED_CHUNK_BYTES)
      parts.push(
        piece.length <= MAX_STREAMED_CHUNK_BYTES ? piece : piece.subarray(start, start + MAX_STREAMED_CHUNK_BYTES),
      );
  }
  if (endOfStream && parts.length === 0) parts.push(new Uint8Array(0));
  return parts.map((body, index) =>
    streamedBody(phase, { body, endOfStream: endOfStream && index === parts.length - 1 }),
  );
}

/** In GRPC mode each piece is a separate message, and must not be cut. */
function grpcPieces(phase: BodyPhase, value: HttpBody, pieces: readonly Uint8Array[]): ProcessingResponse[] {
  const { endOfStream, endOfStreamWithoutMessage, grpcMessageCompressed } = value;
  const responses = pieces.map((body, index) =>
    streamedBody(phase, {
      body,
      grpcMessageCompressed,
      endOfStream: endOfStream && index === pieces.length - 1,
    }),
  );
  if (responses.length === 0 && endOfStream) responses.push(streamedBody(phase, { endOfStreamWithoutMessage: true }));
  if (endOfStreamWithoutMessage) return [streamedBody(phase, { endOfStreamWithoutMessage })];
  return responses;
}

function mutatedBody(phase: BodyPhase, answer: ContinueAnswer, situation: BodyAnswerSituation): ProcessingResponse {
  const bytes = answer.body && joinBytes(answer.body.pieces);
  const changes = bytes ? withLength(answer.headerChanges, bytes.length, situation) : answer.headerChanges;
  const response: MessageInitShape<typeof CommonResponseSchema> = {
    ...routedMutation(phase, changes, answer.clearRouteCache),
    ...(bytes && { bodyMutation: bodyMutation(bytes) }),
  };
  // Not the shared neutral answer, because metadata may be written to this one.
  const value = Object.keys(response).length === 0 ? {} : { response };
  return create(ProcessingResponseSchema, { response: { case: phase, value } });
}

function bodyMutation(bytes: Uint8Array): NonNullable<MessageInitShape<typeof CommonResponseSchema>["bodyMutation"]> {
  return bytes.length === 0
    ? { mutation: { case: "clearBody", value: true } }
    : { mutation: { case: "body", value: bytes } };
}

/** True in the modes in which Envoy compares the length of a replaced body with `content-length`, as far as is known. */
export function checksLength(mode: BodyMode | undefined): boolean {
  return mode === "BUFFERED" || mode === undefined;
}

/** Envoy compares the length of a replaced body with `content-length` where it buffers, and removed it where it streams. */
function withLength(
  changes: readonly HeaderChange[],
  length: number,
  { mode, fields, maySetLength }: BodyAnswerSituation,
): readonly HeaderChange[] {
  if (!maySetLength || !checksLength(mode) || !hasHeader(fields, "content-length")) return changes;
  return [...changes, { op: "set", name: "content-length", value: textToBytes(String(length)) }];
}
