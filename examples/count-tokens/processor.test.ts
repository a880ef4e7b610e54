import { gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import countTokens from "./processor.js";

const token = (content: string) => `data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\r\n\r\n`;
const USAGE = `data: ${JSON.stringify({ choices: [], usage: { prompt_tokens: 11, completion_tokens: 5 } })}\n\n`;
const DONE = "data: [DONE]\n\n";
const STREAM = `: ping\n\n${token("Grüße")}${token("\n\n")}${USAGE}${DONE}`;
const EVENTS = { "content-type": "text/event-stream; charset=utf-8" };

type Mode = "STREAMED" | "FULL_DUPLEX_STREAMED";

const envoyIn = (mode: Mode) =>
  simulate(countTokens, {
    envoy: {
      metadataOptions: { receivingNamespaces: { untyped: ["llm"] } },
      processingMode: {
        requestHeaderMode: "SKIP",
        responseBodyMode: mode,
        responseTrailerMode: mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
      },
    },
  });

describe.each(["STREAMED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const envoy = envoyIn(mode);

  test("the upstream's usage is used, in any chunks, and no byte changes", async () => {
    const bytes = Buffer.from(STREAM);
    const places = fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 10 });
    await fc.assert(
      fc.asyncProperty(places, async (at) => {
        const ends = [...at, bytes.length].sort((a, b) => a - b);
        const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        const upstream = { chunks, chunkIntervalMs: 20, headers: EVENTS };
        const { response, metadata, faults, warnings } = await envoy.get("/", { response: upstream });
        expect({ faults, warnings }).toEqual({ faults: [], warnings: [] });
        expect(response.body).toBe(STREAM);
        expect(metadata).toEqual({ llm: { prompt: 11, completion: 5, estimated: false } });
      }),
      { numRuns: 60 },
    );
  });

  test("events are counted if the upstream sends no usage", async () => {
    const upstream = { chunks: [token("a"), token("b"), token("c"), DONE], headers: EVENTS };
    const { metadata } = await envoy.get("/", { response: upstream });
    expect(metadata).toEqual({ llm: { completion: 3, estimated: true } });
  });

  test("tokens in a gzip body are counted, and the body passes unchanged", async () => {
    const zipped = gzipSync(STREAM);
    const headers = { ...EVENTS, "content-encoding": "gzip" };
    const { response, metadata } = await envoy.get("/", { response: { chunks: [zipped], headers } });
    expect(Buffer.compare(response.bytes, zipped)).toBe(0);
    expect(metadata).toMatchObject({ llm: { completion: 5 } });
  });

  test("responses of other types are not counted", async () => {
    const { response, metadata } = await envoy.get("/", { response: { json: { usage: {} } } });
    expect([response.json, metadata]).toEqual([{ usage: {} }, {}]);
  });
});

test("an event without an end does not make the response fail", async () => {
  const endless = `data: ${"x".repeat(1 << 20)}`;
  const { response, faults } = await envoyIn("STREAMED").get("/", { response: { chunks: [endless], headers: EVENTS } });
  expect(faults).toMatchObject([{ code: "body_undecodable" }]);
  expect([response.body === endless, response.end]).toEqual([true, "complete"]);
});
