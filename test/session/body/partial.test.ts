import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { appendChunk, defineProcessor, type Processor } from "../../../src/index.ts";
import { sendIn, upper } from "./upper.ts";

const LIMIT = { envoy: { bufferLimitBytes: 1024 } } as const;
const text = "abc".repeat(2000);
const noise = Buffer.from(Array.from({ length: 6000 }, (_, at) => (at * at * 31 + (at >> 3)) & 0xff));
const codes = (faults: readonly { readonly code: string }[]) => faults.map(({ code }) => code);

const chunks = (more: object = {}): Processor =>
  defineProcessor({
    name: "p",
    requestBody: { read: "chunks", chunk: (bytes: Uint8Array) => upper(bytes), ...more },
  } as never);

const stream = (tail: boolean): Processor =>
  defineProcessor({
    name: "p",
    requestBody: {
      read: "stream",
      async *handle(pieces) {
        for await (const piece of pieces) yield upper(piece);
        if (tail) yield new Uint8Array(1);
      },
    },
  });

const plain = { chunks: [text.slice(0, 2000), text.slice(2000)], chunkIntervalMs: 5, protocol: "http1" } as const;
const gzipped = gzipSync(noise);
const coded = {
  chunks: [gzipped.subarray(0, 2000), gzipped.subarray(2000)],
  chunkIntervalMs: 5,
  protocol: "http1",
  headers: { "content-encoding": "gzip" },
} as const;

describe("the beginning of a body above Envoy's buffer limit", () => {
  test.each([
    ["chunks", chunks()],
    ["stream", stream(false)],
  ] as const)(
    "the beginning of a large body goes through a handler that reads %s, and the rest passes",
    async (_, processor) => {
      const { request, faults } = await sendIn(processor, "BUFFERED_PARTIAL", { ...LIMIT, request: plain });
      expect(faults).toEqual([]);
      expect(request).toMatchObject({ body: text.slice(0, 2000).toUpperCase() + text.slice(2000), complete: true });
    },
  );

  test.each([
    ["chunks", chunks({ end: () => appendChunk("!") })],
    ["stream", stream(true)],
  ] as const)(
    "the beginning of a large body has no place for a tail of %s, which would stand in the middle",
    async (_, processor) => {
      const { response, faults } = await sendIn(processor, "BUFFERED_PARTIAL", { ...LIMIT, request: plain });
      expect([codes(faults), response.status]).toEqual([["body_too_large"], 413]);
    },
  );

  test("the beginning of a large body cannot be encoded again", async () => {
    const rejected = await sendIn(chunks(), "BUFFERED_PARTIAL", { ...LIMIT, request: coded });
    expect([codes(rejected.faults), rejected.response.status]).toEqual([["body_too_large"], 413]);
    const passed = await sendIn(chunks({ overLimit: "pass" }), "BUFFERED_PARTIAL", { ...LIMIT, request: coded });
    expect(passed.faults).toEqual([]);
    expect(Buffer.compare(passed.request?.bytes ?? new Uint8Array(), gzipped)).toBe(0);
  });

  test("a handler can look at the beginning of a large body that is not encoded", async () => {
    let seen = 0;
    const looks = defineProcessor({
      name: "p",
      requestBody: {
        read: "inspect",
        chunk(bytes) {
          seen += bytes.length;
        },
      },
    });
    const { request, faults } = await sendIn(looks, "BUFFERED_PARTIAL", { ...LIMIT, request: coded });
    expect(faults).toEqual([]);
    expect(seen).toBeGreaterThan(0);
    expect(Buffer.compare(request?.bytes ?? new Uint8Array(), gzipped)).toBe(0);
  });
});
