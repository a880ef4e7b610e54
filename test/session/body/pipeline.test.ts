import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckRequestSchema } from "../../../gen/grpc/health/v1/health_pb.js";
import { compose, defineProcessor, immediateResponse, type Processor } from "../../../src/index.ts";
import type { BodyMode } from "../../../src/protocol/body-mode.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf } from "../../protocol/messages.ts";
import { nextTurn } from "../deferred.ts";
import { ManualTimers } from "../manual-timers.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

/** Handlers that wait for a turn of the event loop before each piece. */
const waiting = {
  stream: {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      for await (const chunk of chunks)
        for (const byte of chunk) {
          await nextTurn();
          yield Uint8Array.of(byte);
        }
    },
  },
  chunks: { read: "chunks", chunk: async () => undefined },
} as const;

class CountingTimers extends ManualTimers {
  sets = 0;

  override set(callback: () => void, delayMs: number): unknown {
    this.sets++;
    return super.set(callback, delayMs);
  }
}

test("the time of handlers that take turns on one piece does not begin again with each turn", async () => {
  const timers = new CountingTimers();
  const processor = compose(
    defineProcessor({ name: "cuts", requestBody: waiting.stream }),
    defineProcessor({ name: "looks", requestBody: waiting.chunks }),
  );
  const { log, receive } = recordSession(processor, { timers });
  receive(headersOf("requestHeaders", [], bodyModes("STREAMED")), bodyOf("requestBody", new Uint8Array(100)));
  await expect.poll(() => log).toEqual(["requestHeaders", "requestBody"]);
  expect(timers.sets).toBeLessThan(10);
});

test("a missing rest is counted at once, even if the handler of the beginning never settles", () => {
  const unenforced: string[] = [];
  const never = new Promise<undefined>(() => undefined);
  const processor = defineProcessor({ name: "p", requestBody: { read: "inspect", chunk: () => never } });
  const { receive, session } = recordSession(processor, {
    observer: {
      message: () => undefined,
      ended: () => undefined,
      unenforced: (reason, wanted) => unenforced.push(`${reason} ${wanted}`),
    },
  });
  receive(headersOf("requestHeaders", [], bodyModes("BUFFERED_PARTIAL")));
  receive(bodyOf("requestBody", "begin", { endOfStream: false }));
  expect(unenforced).toEqual(["body_not_sent requestBody"]);
  session.cancel();
});

test("an empty last piece passes unchanged if a stream handler adds nothing after the last chunk", async () => {
  const processor = defineProcessor({ name: "p", requestBody: waiting.stream });
  const { receive, answers } = recordSession(processor);
  receive(headersOf("requestHeaders", [], bodyModes("STREAMED")), bodyOf("requestBody", "a"));
  await expect.poll(() => answers.length).toBe(2);
  receive(bodyOf("requestBody", "", { endOfStream: true }));
  await expect.poll(() => answers.length).toBe(3);
  const last = answers[2]?.response;
  expect(last?.case === "requestBody" && last.value.response?.bodyMutation).toBeUndefined();
});

describe("a body that its handler ended in observability mode", () => {
  async function observe(
    processor: Processor,
    mode: BodyMode,
    pieces: readonly Uint8Array[],
    headers: HeaderPairs = [],
  ) {
    const budget = budgetOf(1 << 24);
    const recorded = recordSession(processor, { bodyBudget: budget });
    recorded.receive(headersOf("requestHeaders", headers, { ...bodyModes(mode), observabilityMode: true }));
    const held: number[] = [];
    for (const [index, piece] of pieces.entries()) {
      const endOfStream = index === pieces.length - 1;
      recorded.receive(bodyOf("requestBody", piece, { endOfStream }, { observabilityMode: true }));
      await nextTurn();
      await expect.poll(() => recorded.session.running).toBe(false);
      held.push(budget.share.heldBytes);
    }
    recorded.session.finish();
    return { ends: recorded.ends, held };
  }

  const check = { request: () => immediateResponse(403) };
  const refusing = defineProcessor({ name: "refuses", grpc: { service: Health, methods: { check } } });
  const decoding = defineProcessor({ name: "decodes", requestBody: { read: "chunks", chunk: () => undefined } });
  const message = toBinary(HealthCheckRequestSchema, create(HealthCheckRequestSchema, { service: "s".repeat(20) }));
  const framed = Buffer.concat([Buffer.of(0, 0, 0, 0, message.length), message]);
  const plain = Buffer.concat([framed, framed, framed]);

  test.each([
    ["gRPC messages", refusing, plain, []],
    ["gRPC messages that were decoded", compose(decoding, refusing), gzipSync(plain), [["content-encoding", "gzip"]]],
  ] as const)("the rest of a body of %s passes by its handlers", async (_what, processor, body, coding) => {
    const pieces = [body.subarray(0, body.length - 9), body.subarray(body.length - 9), new Uint8Array()];
    const { ends } = await observe(processor, "STREAMED", pieces, [
      [":method", "POST"],
      [":path", "/grpc.health.v1.Health/Check"],
      ["content-type", "application/grpc"],
      ...coding,
    ]);
    expect(ends).toEqual([expect.objectContaining({ result: "completed" })]);
  });

  test("a whole body is held no longer than its handler runs", async () => {
    const processor = defineProcessor({
      name: "refuses",
      requestBody: { read: "text", handle: async () => immediateResponse(403) },
    });
    const { ends, held } = await observe(processor, "FULL_DUPLEX_STREAMED", [new Uint8Array(5000).fill(97)]);
    expect(held).toEqual([0]);
    expect(ends).toEqual([expect.objectContaining({ result: "completed" })]);
  });
});
