import { gunzipSync, gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import maskPii from "./processor.js";

const TEXT = "Für ada@mail.example.org: 4111 1111 1111 1111, 4111111111111112. Nr. 123456, ref 41111111111111111111.";
const MASKED = "Für [email]: [card 1111], [card 1112]. Nr. 123456, ref 41111111111111111111.";
const PLAIN = { "content-type": "text/plain; charset=utf-8" };

type Mode = "NONE" | "BUFFERED" | "STREAMED" | "FULL_DUPLEX_STREAMED";

const envoyIn = (mode: Mode) =>
  simulate(maskPii, {
    envoy: {
      metadataOptions: { receivingNamespaces: { untyped: ["pii"] } },
      processingMode: {
        requestHeaderMode: "SKIP",
        responseBodyMode: mode,
        responseTrailerMode: mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
      },
    },
  });

/** The body in chunks that end at these places. */
function cut(bytes: Uint8Array, places: readonly number[]): Uint8Array[] {
  const ends = [...new Set([...places, bytes.length])].sort((a, b) => a - b);
  return ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
}

describe.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const envoy = envoyIn(mode);
  const bytes = Buffer.from(TEXT);

  test("data across two chunks is hidden, wherever the first chunk ends", async () => {
    for (let at = 1; at < bytes.length; at++) {
      const chunks = cut(bytes, [at]);
      const upstream = { chunks, chunkIntervalMs: 5, headers: PLAIN };
      const { response, metadata, faults, warnings } = await envoy.get("/", { response: upstream });
      expect({ at, body: response.body, faults, warnings }).toEqual({ at, body: MASKED, faults: [], warnings: [] });
      expect(metadata).toEqual({ pii: { hidden: 3 } });
    }
  });

  test("the result is the same in any chunks", async () => {
    const places = fc.array(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(places, fc.constantFrom("http1" as const, "http2" as const), async (at, protocol) => {
        const upstream = { chunks: cut(bytes, at), chunkIntervalMs: 5, headers: PLAIN };
        const { response } = await envoy.get("/", { protocol, response: upstream });
        expect(response.body).toBe(MASKED);
      }),
      { numRuns: 60 },
    );
  });

  test("data in a gzip body is hidden, in any chunks", async () => {
    const zipped = gzipSync(bytes);
    const headers = { ...PLAIN, "content-encoding": "gzip" };
    for (let at = 1; at < zipped.length; at += 7) {
      const upstream = { chunks: cut(zipped, [at]), chunkIntervalMs: 5, headers };
      const { response, faults } = await envoy.get("/", { response: upstream });
      expect(faults).toEqual([]);
      // If the end of a streamed body is not known, it is sent without its coding.
      const isZipped = response.headers["content-encoding"] === "gzip";
      expect(Buffer.from(isZipped ? gunzipSync(response.bytes) : response.bytes).toString()).toBe(MASKED);
    }
  });
});

test("bytes that cannot become a match are sent at once", async () => {
  const chunks = ["x ".repeat(500), "y"];
  const { report } = await envoyIn("FULL_DUPLEX_STREAMED").get("/", { response: { chunks, headers: PLAIN } });
  expect(Buffer.from(report.client.body).toString()).toBe(chunks.join(""));
});

test("no body passes unmasked", async () => {
  const unseen = await envoyIn("NONE").get("/", { response: { body: TEXT, headers: PLAIN } });
  expect(unseen.faults).toMatchObject([{ code: "body_required_unseen" }]);
  expect(unseen.response).toMatchObject({ status: 500, body: "" });
  const headers = { ...PLAIN, "content-encoding": "secret-coding" };
  const coded = await envoyIn("BUFFERED").get("/", { response: { body: TEXT, headers } });
  expect(coded.faults).toMatchObject([{ code: "unknown_coding" }]);
  const part = await envoyIn("BUFFERED").get("/", { response: { status: 206, body: TEXT, headers: PLAIN } });
  expect(part.faults).toMatchObject([{ code: "body_partial_content" }]);
});

test("images are not changed", async () => {
  const picture = { body: TEXT, headers: { "content-type": "image/png" } };
  expect((await envoyIn("STREAMED").get("/", { response: picture })).response.body).toBe(TEXT);
});
