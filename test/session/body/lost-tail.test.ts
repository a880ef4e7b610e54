import { describe, expect, test } from "vitest";
import { appendChunk, defineProcessor, lines, type Processor } from "../../../src/index.ts";
import { describeProcessor } from "../../../src/processor/describe/describe-processor.ts";
import { runRules } from "../../../src/processor/run-rules.ts";
import type { FaultOutcome } from "../../../src/session/fault-outcome.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { ManualTimers } from "../manual-timers.ts";
import { recordSession } from "../recorded-session.ts";
import { sendIn } from "./upper.ts";

const bytes = (text: string) => new TextEncoder().encode(text);

const HANDLERS = {
  "a stream handler that collects lines": defineProcessor({
    name: "p",
    responseBody: {
      read: "stream",
      async *handle(chunks) {
        for await (const line of lines(chunks)) yield line.raw;
      },
    },
  }),
  "a chunks handler that ends at once": defineProcessor({
    name: "p",
    state: () => ({ held: "" }),
    responseBody: {
      read: "chunks",
      chunk(chunk, { state }) {
        const text = state.held + new TextDecoder().decode(chunk);
        const end = text.lastIndexOf("\n") + 1;
        state.held = text.slice(end);
        return bytes(text.slice(0, end));
      },
      end: ({ state }) => appendChunk(state.held),
    },
  }),
  "a chunks handler that ends later": defineProcessor({
    name: "p",
    state: () => ({ held: "" }),
    responseBody: {
      read: "chunks",
      chunk(chunk, { state }) {
        state.held = new TextDecoder().decode(chunk).endsWith("\n") ? "" : "rest";
        return chunk;
      },
      end: async ({ state }) => {
        await Promise.resolve();
        return appendChunk(state.held);
      },
    },
  }),
} as const;

describe.each(Object.entries(HANDLERS))("%s", (_what, processor: Processor) => {
  const upstream = (text: string) => ({ chunks: ["one\n", text], chunkIntervalMs: 5, trailers: { "x-t": "1" } });

  test("a handler has a fault if trailers hide an end at which it adds bytes", async () => {
    const { faults } = await sendIn(processor, "STREAMED", { request: {}, upstream: upstream("two") });
    expect(faults.map(({ code }) => code)).toEqual(["tail_undeliverable"]);
  });

  test("a handler has no fault if it adds nothing at an end that trailers hide", async () => {
    const { faults, response } = await sendIn(processor, "STREAMED", { request: {}, upstream: upstream("two\n") });
    expect([faults, response.body]).toEqual([[], "one\ntwo\n"]);
  });

  test("a lost tail has the outcome bytes_lost and the result fault under every policy", async () => {
    const told: (readonly [string, FaultOutcome])[] = [];
    const results: string[] = [];
    const { session, receive } = recordSession(processor, {
      observer: {
        message: () => undefined,
        fault: ({ code }, outcome) => told.push([code, outcome]),
        ended: ({ result }) => results.push(result),
      },
    });
    receive(headersOf("responseHeaders", [[":status", "200"]], bodyModes("STREAMED")));
    receive(bodyOf("responseBody", bytes("one")));
    await new Promise((resolve) => setImmediate(resolve));
    session.cancel();
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(told).toEqual([["tail_undeliverable", "bytes_lost"]]);
    expect(results).toEqual(["fault"]);
  });

  test("a handler with a tail needs trailers, and the description of its processor says why", () => {
    const { processingMode } = describeProcessor(runRules(processor));
    const need = processingMode.find(({ field }) => field === "response_trailer_mode");
    expect(need?.mode).toBe("SEND");
    expect(need?.why.join()).toContain("with SKIP trailers hide the end of a body");
    const body = processingMode.find(({ field }) => field === "response_body_mode");
    expect(body?.alternatives.find(({ mode }) => mode === "STREAMED")?.where).toContain(
      "trailer mode of the direction is SEND",
    );
  });
});

test("a loop that waits for something else at a hidden end is closed, and has a fault if it holds bytes back", async () => {
  let isClosed = false;
  const processor = defineProcessor({
    name: "p",
    responseBody: {
      read: "stream",
      async *handle(chunks) {
        try {
          const held: Uint8Array[] = [];
          for await (const chunk of chunks) held.push(chunk);
          await new Promise<void>((resolve) => setTimeout(resolve, 50));
          yield* held;
        } finally {
          isClosed = true;
        }
      },
    },
  });
  const upstream = { chunks: ["a", "b"], chunkIntervalMs: 5, trailers: { "x-t": "1" } };
  const { faults } = await sendIn(processor, "STREAMED", { request: {}, upstream });
  expect(faults.map(({ code }) => code)).toEqual(["tail_undeliverable"]);
  await expect.poll(() => isClosed).toBe(true);
});

test("a session ends at the time limit if a handler that would add bytes at the hidden end never settles", async () => {
  const timers = new ManualTimers();
  const never = new Promise<undefined>(() => undefined);
  const processor = defineProcessor({
    name: "p",
    timeoutMs: 100,
    requestBody: { read: "chunks", chunk: () => undefined, end: () => never },
  });
  const { session, ends, receive } = recordSession(processor, { timers });
  receive(headersOf("requestHeaders", [], bodyModes("STREAMED")), bodyOf("requestBody", "abc"));
  session.finish();
  expect(ends).toEqual([]);
  timers.advance(100);
  expect(ends.map(({ result }) => result)).toEqual(["completed"]);
});
