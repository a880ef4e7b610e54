import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type HttpBody,
  HttpBodySchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
  type StreamedBodyResponse,
} from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { neutralAnswer, neutralBodyAnswers } from "../../../src/protocol/answers/neutral-answer.ts";
import { type BodyPhase, PHASES } from "../../../src/protocol/phase.ts";
import { bytes } from "../messages.ts";

const BODY_PHASES: readonly BodyPhase[] = ["requestBody", "responseBody"];
const CHUNK = 64 * 1024;

const body = (init: Partial<Pick<HttpBody, "endOfStream" | "endOfStreamWithoutMessage" | "grpcMessageCompressed">>) =>
  create(HttpBodySchema, { body: bytes("message"), ...init });

function streamed(phase: BodyPhase, answers: readonly ProcessingResponse[]): StreamedBodyResponse[] {
  return answers.map(({ response }) => {
    if (response.case !== phase) throw new Error(`member ${response.case}`);
    const mutation = response.value.response?.bodyMutation?.mutation;
    if (mutation?.case !== "streamedResponse") throw new Error(`mutation ${mutation?.case}`);
    return mutation.value;
  });
}

describe("neutralAnswer", () => {
  test.each(PHASES)("neutralAnswer to %s is the empty member of that name, and never an empty message", (phase) => {
    const [answer, ...more] = neutralAnswer(phase);
    expect(more).toEqual([]);
    expect(answer?.response.case).toBe(phase);
    // Tag of the oneof member and length zero: two bytes and nothing else.
    expect(answer && [...toBinary(ProcessingResponseSchema, answer)]).toEqual([expect.any(Number), 0]);
  });
});

describe.each(BODY_PHASES)("neutralBodyAnswers to %s", (phase) => {
  test.each(["NONE", "STREAMED", "BUFFERED", "BUFFERED_PARTIAL", undefined] as const)(
    "the neutral answer to a body is one empty member in mode %s",
    (mode) => {
      for (const endOfStream of [true, false])
        expect(neutralBodyAnswers(phase, body({ endOfStream }), mode)).toEqual(neutralAnswer(phase));
    },
  );

  test.each([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK, 1024 * 1024 + 7])(
    "a body in FULL_DUPLEX_STREAMED gets %i bytes back in pieces of at most 64 KiB, with the end on the last piece only",
    (length) => {
      const data = Uint8Array.from({ length }, (_, index) => index % 251);
      const message = create(HttpBodySchema, { body: data, endOfStream: true });
      const pieces = streamed(phase, neutralBodyAnswers(phase, message, "FULL_DUPLEX_STREAMED"));
      expect(pieces.length).toBe(Math.max(1, Math.ceil(length / CHUNK)));
      expect(pieces.every((piece) => piece.body.length <= CHUNK)).toBe(true);
      expect(Buffer.compare(Buffer.concat(pieces.map((piece) => piece.body)), data)).toBe(0);
      expect(pieces.map((piece) => piece.endOfStream)).toEqual(pieces.map((_, index) => index === pieces.length - 1));
    },
  );

  test("a body in FULL_DUPLEX_STREAMED gets no end back if the chunk had none", () => {
    const message = create(HttpBodySchema, { body: new Uint8Array(3 * CHUNK) });
    const pieces = streamed(phase, neutralBodyAnswers(phase, message, "FULL_DUPLEX_STREAMED"));
    expect(pieces.map((piece) => piece.endOfStream)).toEqual([false, false, false]);
  });

  test("an empty chunk in FULL_DUPLEX_STREAMED that ends the stream gets an answer", () => {
    const [piece, ...more] = streamed(
      phase,
      neutralBodyAnswers(phase, create(HttpBodySchema, { endOfStream: true }), "FULL_DUPLEX_STREAMED"),
    );
    expect(more).toEqual([]);
    expect(piece).toMatchObject({ body: new Uint8Array(), endOfStream: true });
  });

  test("a message in GRPC mode comes back uncut, however long", () => {
    const data = new Uint8Array(300_000).fill(7);
    const [piece, ...more] = streamed(phase, neutralBodyAnswers(phase, create(HttpBodySchema, { body: data }), "GRPC"));
    expect(more).toEqual([]);
    expect(piece && Buffer.compare(piece.body, data)).toBe(0);
  });

  test.each([
    { endOfStream: true },
    { endOfStreamWithoutMessage: true },
    { grpcMessageCompressed: true },
    { endOfStream: true, grpcMessageCompressed: true },
    {},
  ])("a message in GRPC mode comes back with the flags %j", (flags) => {
    const [piece] = streamed(phase, neutralBodyAnswers(phase, body(flags), "GRPC"));
    expect(piece).toMatchObject({
      body: bytes("message"),
      endOfStream: false,
      endOfStreamWithoutMessage: false,
      grpcMessageCompressed: false,
      ...flags,
    });
  });
});
