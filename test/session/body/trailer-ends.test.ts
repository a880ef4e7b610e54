import { describe, expect, test } from "vitest";
import { appendChunk, defineProcessor, replaceBody } from "../../../src/index.ts";
import { MODES, sendIn, upper, upperProcessor } from "./upper.ts";

const TRAILERS = { "x-t": "1" };

describe("trailers before the answer to the headers", () => {
  test.each([
    ["NONE", "whole"],
    ["NONE", "text"],
    ["STREAMED", "whole"],
    ["STREAMED", "text"],
  ] as const)(
    "early trailers do not hang a body that an override from %s brings to a handler that reads %s",
    async (mode, kind) => {
      const { request, response, faults, warnings } = await sendIn(upperProcessor(kind), mode, {
        envoy: { allowModeOverride: true },
        request: { chunks: ["hello"], trailers: TRAILERS },
        upstream: { headers: { trailer: "x-t" }, chunks: ["world"], trailers: TRAILERS },
      });
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "HELLO", complete: true, trailers: TRAILERS });
      expect(response).toMatchObject({ body: "WORLD", end: "complete", trailers: TRAILERS });
    },
  );

  test.each([
    ["open", 0, "500 complete"],
    ["envoy", 0, "500 complete"],
    ["closed", 0, "500 complete"],
    ["open", 20, "200 reset"],
    ["envoy", 20, "200 reset"],
    ["closed", 20, "200 reset"],
  ] as const)(
    "early trailers fail a response that no header announced them for, if all of it is held (onFault %s, pieces %i ms apart): %s",
    async (onFault, chunkIntervalMs, end) => {
      const processor = defineProcessor({
        name: "p",
        onFault,
        responseBody: { read: "text", handle: () => undefined },
      });
      const { response, faults } = await sendIn(processor, "NONE", {
        envoy: { allowModeOverride: true },
        request: {},
        upstream: { chunks: ["wor", "ld"], chunkIntervalMs, trailers: TRAILERS },
      });
      expect(faults).toMatchObject([{ code: "tail_undeliverable" }]);
      expect(`${response.status} ${response.end}`).toBe(end);
    },
  );
});

describe("trailers directly behind headers", () => {
  const adding = defineProcessor({
    name: "adding",
    requestBody: { read: "whole", handle: () => replaceBody(new TextEncoder().encode("made")) },
  });
  const appending = defineProcessor({
    name: "appending",
    requestBody: { read: "chunks", chunk: upper, end: () => appendChunk("tail") },
  });

  test.each([
    ["whole", adding],
    ["chunks", appending],
  ])(
    "trailers directly behind headers are an empty body, for which a handler that reads %s is not called",
    async (_read, processor) => {
      for (const mode of MODES) {
        const { request, response, faults, warnings } = await sendIn(processor, mode, {
          request: { chunks: [], trailers: TRAILERS },
        });
        expect({ faults, warnings, status: response.status }, mode).toEqual({ faults: [], warnings: [], status: 200 });
        expect(request, mode).toMatchObject({ body: "", complete: true, trailers: TRAILERS });
      }
    },
  );

  test.each(MODES)("trailers directly behind headers pass in %s if nothing is added", async (mode) => {
    const { request, faults, warnings } = await sendIn(upperProcessor("chunks"), mode, {
      request: { chunks: [], trailers: TRAILERS },
    });
    expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
    expect(request).toMatchObject({ body: "", complete: true, trailers: TRAILERS });
  });
});

test("an override to STREAMED asks for trailers if they would hide the end of the body", async () => {
  const ends: string[] = [];
  const processor = defineProcessor({
    name: "looking",
    requestBody: {
      read: "inspect",
      end(tx) {
        ends.push(`${tx.modes.requestBody}`);
      },
    },
  });
  const { request, faults } = await sendIn(processor, "NONE", {
    envoy: { allowModeOverride: true },
    request: { chunks: ["hello"], trailers: TRAILERS },
  });
  expect(faults).toEqual([]);
  expect(ends).toEqual(["STREAMED"]);
  expect(request).toMatchObject({ body: "hello", trailers: TRAILERS });
});

test("trailers in STREAMED end a body for handlers that only watch, in shadow mode too", async () => {
  const { request, response, faults, warnings } = await sendIn(upperProcessor("whole"), "STREAMED", {
    operator: { shadow: true, envoy: { processingMode: { requestTrailerMode: "SEND", responseTrailerMode: "SEND" } } },
    envoy: { processingMode: { requestTrailerMode: "SEND", responseTrailerMode: "SEND" } },
    request: { chunks: ["he", "llo"], chunkIntervalMs: 5, trailers: TRAILERS },
    upstream: { chunks: ["world"], trailers: TRAILERS },
  });
  expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
  expect([request?.body, response.body]).toEqual(["hello", "world"]);
});
