import { describe, expect, test } from "vitest";
import {
  createLineSplitter,
  createReplacer,
  createUtf8Decoder,
  defineProcessor,
  type Processor,
  sseEvents,
} from "../../../src/index.ts";
import { sendIn } from "./upper.ts";

async function codesOf(processor: Processor) {
  const { faults, response } = await sendIn(processor, "STREAMED", {
    request: { chunks: ["12345\xff"], headers: { "content-length": "7" } },
  });
  return [faults.map(({ code }) => code), response.status];
}

describe("a body that a handler cannot read on", () => {
  const watching = (required: boolean) =>
    defineProcessor({
      name: "p",
      onFault: "open",
      state: () => createLineSplitter({ maxLineBytes: 3 }),
      requestBody: { read: "inspect", required, chunk: (bytes, { state }) => void state.push(bytes) },
    });

  test("the fault policy decides if a line is too long for a handler that only looks", async () => {
    expect(await codesOf(watching(false))).toEqual([["body_undecodable"], 200]);
  });

  test("a line or an event that is too long is fault body_too_large under every fault policy", async () => {
    expect(await codesOf(watching(true))).toEqual([["body_too_large"], 413]);
    const events = defineProcessor({
      name: "p",
      onFault: "open",
      requestBody: {
        read: "stream",
        async *handle(chunks) {
          for await (const { raw } of sseEvents(chunks, { maxEventBytes: 3 })) yield raw;
        },
      },
    });
    expect(await codesOf(events)).toEqual([["body_too_large"], 413]);
  });

  test("a body that is not UTF-8 is fault body_undecodable", async () => {
    const text = defineProcessor({
      name: "p",
      onFault: "closed",
      state: () => createUtf8Decoder({ invalid: "fail" }),
      requestBody: {
        read: "chunks",
        encoding: "raw",
        chunk: (_bytes, { state }) => void state.push(Uint8Array.of(0xff, 0x41)),
      },
    });
    expect((await codesOf(text))[0]).toEqual(["body_undecodable"]);
  });

  test("a pattern that matches more than its author declared is fault handler_threw", async () => {
    const mask = defineProcessor({
      name: "p",
      state: () => createReplacer({ pattern: /\d+/, maxMatchBytes: 3, replacement: "#" }),
      requestBody: { read: "chunks", chunk: (bytes, { state }) => state.push(bytes) },
    });
    expect(await codesOf(mask)).toEqual([["handler_threw"], 500]);
  });
});
