import { describe, expect, test } from "vitest";
import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { streamedPieces } from "../../../src/protocol/answers/write-body-answer.ts";

/** The body and the end of each `streamed_response`. */
function chunksOf(responses: readonly ProcessingResponse[]): { body: Uint8Array; endOfStream: boolean }[] {
  return responses.map(({ response }) => {
    const mutation = response.case === "requestBody" ? response.value.response?.bodyMutation?.mutation : undefined;
    if (mutation?.case !== "streamedResponse") throw new Error("not a streamed response");
    return { body: mutation.value.body, endOfStream: mutation.value.endOfStream };
  });
}

const numbered = (count: number, bytes: number) => Array.from({ length: count }, (_, at) => Buffer.alloc(bytes, at));

describe("pieces of a full-duplex body", () => {
  test("64 pieces leave as 64 messages", () => {
    const pieces = numbered(64, 3);
    expect(chunksOf(streamedPieces("requestBody", pieces)).map(({ body }) => body)).toEqual(pieces);
  });

  test("thousands of small pieces leave as messages of 64 KiB, with the same bytes in the same order", () => {
    const pieces = numbered(16_385, 16);
    const chunks = chunksOf(streamedPieces("requestBody", pieces, true));
    expect(chunks.map(({ body }) => body.length)).toEqual([65_536, 65_536, 65_536, 65_536, 16]);
    expect(chunks.map(({ endOfStream }) => endOfStream)).toEqual([false, false, false, false, true]);
    expect(Buffer.concat(chunks.map(({ body }) => body)).equals(Buffer.concat(pieces))).toBe(true);
  });

  test("a piece above 64 KiB leaves as several messages", () => {
    const chunks = chunksOf(streamedPieces("requestBody", [Buffer.alloc(70_000)]));
    expect(chunks.map(({ body }) => body.length)).toEqual([65_536, 4_464]);
  });
});
