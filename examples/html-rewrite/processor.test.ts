import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import htmlRewrite from "./processor.js";

const SCRIPT = '<script src="/consent.js" async></script>';
const PAGE = `<!doctype html><HEAD><title>é</title><link HREF = "http://a.example/x.css"></HEAD ><a href="http://b.example">http://c</a></head>`;
const REWRITTEN = `<!doctype html><HEAD><title>é</title><link HREF = "https://a.example/x.css">${SCRIPT}</HEAD ><a href="https://b.example">http://c</a></head>`;
const HTML = { "content-type": "text/html; charset=utf-8", etag: '"1"' };

describe.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const envoy = simulate(htmlRewrite, {
    envoy: {
      processingMode: {
        requestHeaderMode: "SKIP",
        responseBodyMode: mode,
        responseTrailerMode: mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
      },
    },
  });
  const bytes = Buffer.from(PAGE);

  test("a page in two chunks is rewritten, wherever the first one ends", async () => {
    for (let at = 1; at < bytes.length; at++) {
      const upstream = { chunks: [bytes.subarray(0, at), bytes.subarray(at)], chunkIntervalMs: 5, headers: HTML };
      const { response, faults, warnings } = await envoy.get("/", { response: upstream });
      expect({ at, body: response.body, faults, warnings }).toEqual({ at, body: REWRITTEN, faults: [], warnings: [] });
      expect(response.headers).not.toHaveProperty("etag");
    }
  });

  test("a page in any chunks is rewritten, with and without content-length", async () => {
    const places = fc.uniqueArray(fc.integer({ min: 1, max: bytes.length - 1 }), { maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(places, fc.boolean(), async (at, hasLength) => {
        const ends = [...at, bytes.length].sort((a, b) => a - b);
        const chunks = ends.map((end, index) => bytes.subarray(ends[index - 1] ?? 0, end));
        const headers = hasLength ? { ...HTML, "content-length": String(bytes.length) } : HTML;
        const { response } = await envoy.get("/", { response: { chunks, chunkIntervalMs: 5, headers } });
        expect(response.body).toBe(REWRITTEN);
      }),
      { numRuns: 60 },
    );
  });

  test.each([
    ["gzip", gzipSync, gunzipSync],
    ["br", brotliCompressSync, brotliDecompressSync],
  ] as const)("rewrites inside %s, wherever that is cut", async (coding, encode, decode) => {
    const coded = encode(bytes);
    for (let at = 1; at < coded.length; at += 11) {
      const chunks = [coded.subarray(0, at), coded.subarray(at)];
      const headers = { ...HTML, "content-encoding": coding };
      const { response } = await envoy.get("/", { response: { chunks, chunkIntervalMs: 5, headers } });
      const isCoded = response.headers["content-encoding"] !== undefined;
      expect(Buffer.from(isCoded ? decode(response.bytes) : response.bytes).toString()).toBe(REWRITTEN);
    }
  });

  test("responses of other types are not changed", async () => {
    const { response } = await envoy.get("/", { response: { body: PAGE, headers: { "content-type": "text/plain" } } });
    expect(response.body).toBe(PAGE);
  });
});
