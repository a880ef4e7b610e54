import { describe, expect, test } from "vitest";
import { appendChunk, createReplacer, defineProcessor, replacedChunks } from "../../../src/index.ts";
import { sendIn } from "./upper.ts";

const PATTERN = { pattern: "secret", replacement: "[hidden]" } as const;
const LIMIT = { maxBytes: 8, overLimit: "pass" } as const;

const chunks = defineProcessor({
  name: "p",
  state: () => createReplacer(PATTERN),
  requestBody: {
    ...LIMIT,
    read: "chunks",
    chunk: (bytes, { state }) => state.push(bytes),
    end: ({ state }) => appendChunk(state.end()),
  },
});
const stream = defineProcessor({
  name: "p",
  requestBody: { ...LIMIT, read: "stream", handle: (pieces) => replacedChunks(pieces, PATTERN) },
});

describe("a body that passes above maxBytes", () => {
  test.each([
    ["chunks", chunks],
    ["stream", stream],
  ] as const)("a body that passes above maxBytes loses nothing that %s held back", async (_, processor) => {
    for (const mode of ["STREAMED", "FULL_DUPLEX_STREAMED"] as const) {
      const request = { chunks: ["a secr", "ex", "ylophone"], chunkIntervalMs: 20 };
      const sent = await sendIn(processor, mode, { request });
      expect(sent.faults).toEqual([]);
      expect(sent.request).toMatchObject({ body: "a secrexylophone", complete: true });
      const held = await sendIn(processor, mode, { request: { ...request, chunks: ["a secr", "etabc", "secret"] } });
      expect(held.request).toMatchObject({ body: "a secretabcsecret", complete: true });
    }
  });
});
