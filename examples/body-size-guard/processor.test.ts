import { gzipSync } from "node:zlib";
import { simulate } from "ext-proc/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import bodySizeGuard from "./processor.js";

const MAX_BYTES = 64 << 10;
const GZIP = { "content-encoding": "gzip" };

describe.each(["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const)("in %s", (mode) => {
  const envoy = simulate(bodySizeGuard, {
    envoy: {
      processingMode: {
        requestBodyMode: mode,
        requestTrailerMode: mode === "FULL_DUPLEX_STREAMED" ? "SEND" : "SKIP",
        responseHeaderMode: "SKIP",
      },
    },
  });

  test("a request with a content-length above the limit is rejected before its body is read", async () => {
    const { request, response, warnings, faults } = await envoy.post("/", { body: "x".repeat(MAX_BYTES + 1) });
    expect(request).toBeUndefined();
    expect(response).toMatchObject({ status: 413, json: { error: "too large", maxBytes: MAX_BYTES } });
    expect({ warnings, faults }).toEqual({ warnings: [], faults: [] });
  });

  test("a body of exactly the limit passes, in any chunks", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 2 * MAX_BYTES }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(sizes, fc.integer({ min: -1, max: 1 }), async (lengths, beside) => {
        const before = lengths.reduce((sum, length) => sum + length, 0);
        const last = Math.max(0, MAX_BYTES + beside - before);
        const chunks = [...lengths, last].map((length) => new Uint8Array(length));
        const { request, response, faults } = await envoy.post("/", { chunks, chunkIntervalMs: 1 });
        if (before + last <= MAX_BYTES) {
          expect([request?.bytes.length, request?.complete, response.status]).toEqual([before + last, true, 200]);
        } else {
          expect([request?.complete ?? false, response.status]).toEqual([false, 413]);
          expect(faults).toMatchObject([{ code: "body_too_large" }]);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("a gzip bomb is rejected", async () => {
    const bomb = gzipSync(new Uint8Array(50 << 20));
    const { request, response } = await envoy.post("/", { body: bomb, headers: GZIP });
    expect([request?.complete ?? false, response.status]).toEqual([false, 413]);
    const small = gzipSync("x".repeat(MAX_BYTES));
    const passed = await envoy.post("/", { body: small, headers: GZIP });
    expect([Buffer.compare(passed.request?.bytes ?? small, small), passed.response.status]).toEqual([0, 200]);
  });
});
