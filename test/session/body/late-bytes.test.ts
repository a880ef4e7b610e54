import { gzipSync } from "node:zlib";
import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { Health, HealthCheckRequestSchema } from "../../../gen/grpc/health/v1/health_pb.js";
import { defineProcessor, type Processor } from "../../../src/index.ts";
import { BodyBudget } from "../../../src/memory/body-budget.ts";
import { MemoryAccount } from "../../../src/memory/memory-account.ts";
import { runRules } from "../../../src/processor/run-rules.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf } from "../../protocol/messages.ts";
import { type Deferred, deferred, nextTurn } from "../deferred.ts";
import { ManualTimers } from "../manual-timers.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

const KIB = 1 << 10;

/** A processor whose body handler hangs, and a body for it. */
interface Hanging {
  readonly processor: (hangs: () => Promise<undefined>) => Processor;
  readonly body: Uint8Array;
  readonly headers?: HeaderPairs;
  /** The least number of bytes that must be counted. */
  readonly leastBytes: number;
}

const text = `["${"x".repeat(100 * KIB)}"]`;
const manyObjects = `[${Array(20 * KIB)
  .fill("{}")
  .join()}]`;
const GRPC: HeaderPairs = [
  [":method", "POST"],
  [":path", "/grpc.health.v1.Health/Check"],
  ["content-type", "application/grpc"],
];
const message = toBinary(
  HealthCheckRequestSchema,
  create(HealthCheckRequestSchema, { service: "x".repeat(100 * KIB) }),
);
const framed = Buffer.concat([Buffer.from([0, 0, 0, 0, 0]), message]);
framed.writeUInt32BE(message.length, 1);

const requestBody = (requestBody: object) => defineProcessor({ name: "p", requestBody: requestBody as never });
const HANGING: Readonly<Record<string, Hanging>> = {
  whole: {
    processor: (hangs) => requestBody({ read: "whole", handle: hangs }),
    body: Buffer.from(text),
    leastBytes: text.length,
  },
  "whole, gzip": {
    processor: (hangs) => requestBody({ read: "whole", handle: hangs }),
    body: gzipSync(text),
    headers: [["content-encoding", "gzip"]],
    leastBytes: text.length,
  },
  "text, with its string": {
    processor: (hangs) => requestBody({ read: "text", handle: hangs }),
    body: Buffer.from(text),
    leastBytes: 2 * text.length,
  },
  "text beyond latin1": {
    processor: (hangs) => requestBody({ read: "text", handle: hangs }),
    body: Buffer.from(`${text}€`),
    leastBytes: 3 * text.length,
  },
  "json, with its values": {
    processor: (hangs) => requestBody({ read: "json", handle: hangs }),
    body: Buffer.from(text),
    leastBytes: 2 * text.length,
  },
  "json of empty objects": {
    processor: (hangs) => requestBody({ read: "json", handle: hangs }),
    body: Buffer.from(manyObjects),
    leastBytes: 22 * manyObjects.length,
  },
  chunks: {
    processor: (hangs) => requestBody({ read: "chunks", chunk: hangs }),
    body: Buffer.from(text),
    leastBytes: text.length,
  },
  inspect: {
    processor: (hangs) => requestBody({ read: "inspect", chunk: hangs }),
    body: Buffer.from(text),
    leastBytes: text.length,
  },
  stream: {
    processor: (hangs) =>
      requestBody({
        read: "stream",
        async *handle(chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            await hangs();
            yield chunk;
          }
        },
      }),
    body: Buffer.from(text),
    leastBytes: text.length,
  },
  grpc: {
    processor: (hangs) =>
      defineProcessor({ name: "p", grpc: { service: Health, methods: { check: { request: hangs } } } }),
    body: framed,
    headers: GRPC,
    leastBytes: 3 * message.length,
  },
};

function begin({ processor, body, headers = [] }: Hanging, budget: BodyBudget, handlers: Deferred<undefined>[]) {
  const made = processor(() => {
    const handler = deferred<undefined>();
    handlers.push(handler);
    return handler.promise;
  });
  const rules = runRules(made, {});
  return () => {
    const timers = new ManualTimers();
    const recorded = recordSession(made, { bodyBudget: budget, timers, rules });
    recorded.receive(
      headersOf("requestHeaders", headers, bodyModes("BUFFERED")),
      bodyOf("requestBody", Uint8Array.from(body), { endOfStream: true }),
    );
    return { ...recorded, timers };
  };
}

describe.each(Object.entries(HANGING))("a handler that hangs on a body: %s", (_, hanging) => {
  test.each(["reset", "timeout", "no end"] as const)(
    "a handler that hangs keeps its bytes counted until it settles, after %s",
    async (end) => {
      const budget = budgetOf(64 << 20);
      const handlers: Deferred<undefined>[] = [];
      const { session, timers } = begin(hanging, budget, handlers)();
      await expect.poll(() => handlers.length).toBe(1);
      expect(budget.share.heldBytes).toBeGreaterThanOrEqual(hanging.leastBytes);
      if (end === "reset") session.cancel();
      if (end === "timeout") timers.advance(60_000);
      await nextTurn();
      expect(budget.share.heldBytes).toBeGreaterThanOrEqual(hanging.leastBytes);
      handlers[0]?.resolve(undefined);
      session.finish();
      await expect.poll(() => budget.share.heldBytes).toBe(0);
    },
  );

  test("a handler is not called with bytes beyond the total, and the request is refused with 503", async () => {
    const budget = budgetOf(4 << 20);
    const handlers: Deferred<undefined>[] = [];
    const next = begin(hanging, budget, handlers);
    const codes: (string | undefined)[] = [];
    for (let count = 0; count < 60; count++) {
      const { session, ends, answers } = next();
      await nextTurn();
      await nextTurn();
      // A decoder in the thread pool needs time.
      await expect.poll(() => handlers.length + codes.length + ends.length).toBeGreaterThanOrEqual(count + 1);
      if (ends.length > 0) {
        codes.push(ends[0]?.fault?.code);
        expect(answers.at(-1)?.response.value).toMatchObject({ status: { code: 503 } });
      }
      session.cancel();
    }
    expect(budget.share.peakBytes).toBeLessThanOrEqual(4 << 20);
    expect(handlers.length * hanging.leastBytes).toBeLessThanOrEqual(4 << 20);
    expect(codes.length).toBeGreaterThan(10);
    expect(new Set(codes)).toEqual(new Set(["body_memory_exceeded"]));
    for (const handler of handlers) handler.reject(new Error("too late"));
    await expect.poll(() => budget.share.heldBytes).toBe(0);
  });
});

test("bytes that a handler gets are not counted in addition to the body itself if the handler returns at once", () => {
  const budget = budgetOf(1 << 20);
  const processor = defineProcessor({ name: "p", requestBody: { read: "json", handle: () => undefined } });
  for (let count = 0; count < 3; count++) {
    const { receive, log } = recordSession(processor, { bodyBudget: budget });
    receive(
      headersOf("requestHeaders", [], bodyModes("BUFFERED")),
      bodyOf("requestBody", manyObjects, { endOfStream: true }),
    );
    expect(log).toEqual(["requestHeaders", "requestBody"]);
  }
  expect(budget.share.peakBytes).toBe(manyObjects.length);
});

test("with default limits an asynchronous handler is given 4 MiB of JSON records", async () => {
  const records: object[] = [];
  for (let bytes = 0; bytes < 3.9 * (1 << 20); bytes += 95)
    records.push({
      id: records.length,
      name: "Ada Lovelace",
      email: "ada@example.com",
      tags: ["a", "b"],
      isActive: true,
    });
  const text = JSON.stringify(records);
  const budget = new BodyBudget(new MemoryAccount().bodies);
  const processor = defineProcessor({ name: "p", requestBody: { read: "json", handle: async () => undefined } });
  const { receive, log } = recordSession(processor, { bodyBudget: budget });
  receive(
    headersOf("requestHeaders", [], bodyModes("BUFFERED")),
    bodyOf("requestBody", text.slice(0, 4 << 20), { endOfStream: true }),
  );
  await expect.poll(() => log).toEqual(["requestHeaders", "requestBody"]);
  expect(budget.share.peakBytes).toBeGreaterThan(5 * text.length);
});
