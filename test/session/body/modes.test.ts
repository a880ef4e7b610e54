import { describe, expect, test } from "vitest";
import { MODES, sendIn, UPPER, type UpperKind, upperProcessor } from "./upper.ts";

const KINDS = Object.keys(UPPER) as UpperKind[];

describe.each(KINDS)("a handler that reads %s", (kind) => {
  describe.each(MODES.filter((mode) => mode !== "NONE"))("in %s", (mode) => {
    test("a handler changes bodies of a known length, both ways", async () => {
      const { request, response, faults, warnings } = await sendIn(upperProcessor(kind), mode, {
        request: { body: "hello" },
        upstream: { body: "world!" },
      });
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "HELLO", complete: true });
      expect(response).toMatchObject({ body: "WORLD!", status: 200, end: "complete" });
    });

    test.each(["http1", "http2"] as const)("a handler changes bodies in chunks, over %s", async (protocol) => {
      const { request, response, faults, warnings } = await sendIn(upperProcessor(kind), mode, {
        request: { chunks: ["a", "bc", "def"], protocol, chunkIntervalMs: 10 },
        upstream: { chunks: ["gh", "i"], chunkIntervalMs: 10 },
      });
      if (mode === "STREAMED" && (kind === "whole" || kind === "text")) {
        expect(faults.map(({ code }) => code)).toEqual(["body_end_unknowable"]);
        return;
      }
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "ABCDEF", complete: true });
      expect(response).toMatchObject({ body: "GHI", status: 200, end: "complete" });
    });

    test("a handler changes bodies with trailers", async () => {
      const { request, response, faults, warnings } = await sendIn(upperProcessor(kind), mode, {
        request: { chunks: ["a", "bc", "def"], chunkIntervalMs: 10, trailers: { "x-t": "1" } },
        upstream: { chunks: ["gh", "i"], trailers: { "x-s": "2" } },
      });
      if ((mode === "STREAMED" && kind === "whole") || kind === "text") return;
      expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
      expect(request).toMatchObject({ body: "ABCDEF", complete: true, trailers: { "x-t": "1" } });
      expect(response).toMatchObject({ body: "GHI", status: 200, end: "complete", trailers: { "x-s": "2" } });
    });
  });
});
