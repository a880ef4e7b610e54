import { gzipSync } from "node:zlib";
import { beforeAll, describe, expect, test } from "vitest";
import { codedChunks } from "../../../src/bodies/coding/coded-chunks.ts";
import { type Coding, supportedCodings } from "../../../src/bodies/coding/content-encoding.ts";
import { createEncoder } from "../../../src/bodies/coding/encoder.ts";
import { defineProcessor, type Processor } from "../../../src/index.ts";
import type { BodyBudget } from "../../../src/memory/body-budget.ts";
import { runRules } from "../../../src/processor/run-rules.ts";
import { bodyModes, bodyOf, headersOf } from "../../protocol/messages.ts";
import { recordSession } from "../recorded-session.ts";
import { budgetOf } from "./budget-of.ts";

const MIB = 1 << 20;
const STACKS: readonly (readonly Coding[])[] = [
  ...supportedCodings().map((coding) => [coding]),
  ["gzip", "gzip"],
  ["br", "gzip"],
  ["br", "br"],
];
const KINDS = {
  whole: { read: "whole", handle: () => undefined },
  json: { read: "json", handle: () => undefined },
  chunks: { read: "chunks", chunk: (bytes: Uint8Array) => bytes },
  stream: {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      yield* chunks;
    },
  },
  inspect: { read: "inspect", chunk: () => undefined },
} as const;
const bombs = new Map<string, Uint8Array>();
/** No handler may time out here. */
const envoy = { messageTimeoutMs: 60_000 };

async function bombOf(codings: readonly Coding[]): Promise<Uint8Array> {
  const zeros = Array.from({ length: 200 }, () => new Uint8Array(MIB));
  const parts: Uint8Array[] = [];
  for await (const part of codedChunks(zeros, createEncoder(codings, { flush: "end" }))) parts.push(part);
  return new Uint8Array(Buffer.concat(parts));
}

function begin(processor: Processor, codings: readonly Coding[], { bodyBudget }: { readonly bodyBudget: BodyBudget }) {
  const recorded = recordSession(processor, { bodyBudget, rules: runRules(processor, { envoy }) });
  const coding = ["content-encoding", codings.join(", ")] as const;
  recorded.receive(headersOf("requestHeaders", [coding], bodyModes("BUFFERED")));
  return recorded;
}

beforeAll(async () => {
  for (const codings of STACKS) bombs.set(codings.join(), await bombOf(codings));
}, 60_000);

describe.each(STACKS.map((codings) => [codings.join(", "), codings] as const))(
  "200 MiB of zeros in %s",
  (_, codings) => {
    test.each(Object.keys(KINDS) as (keyof typeof KINDS)[])(
      "compressed bombs are too large for %s, and hold no more than their limit",
      async (kind) => {
        const processor = defineProcessor({ name: "p", timeoutMs: 50_000, requestBody: KINDS[kind] as never });
        const bodyBudget = budgetOf(256 * MIB);
        const { receive, ends } = begin(processor, codings, { bodyBudget });
        receive(bodyOf("requestBody", bombs.get(codings.join()) ?? new Uint8Array(), { endOfStream: true }));
        // The event loop must keep running: otherwise results of the thread pool would not arrive.
        let turns = 0;
        for (; ends.length === 0; turns++) await new Promise((resolve) => setImmediate(resolve));
        expect(turns).toBeGreaterThan(0);
        expect(ends.map(({ fault }) => fault?.code)).toEqual(["body_too_large"]);
        // The received bytes, 4 MiB of decoded bytes, and the memory of the coders.
        expect(bodyBudget.share.peakBytes).toBeLessThan(10 * MIB);
        expect(bodyBudget.share.heldBytes).toBe(0);
      },
    );
  },
);

test("other bodies are answered while a bomb is decoded", async () => {
  const bodyBudget = budgetOf(256 * MIB);
  const processor = defineProcessor({ name: "p", timeoutMs: 50_000, requestBody: KINDS.chunks });
  const bomb = begin(processor, ["gzip"], { bodyBudget });
  bomb.receive(bodyOf("requestBody", bombs.get("gzip") ?? new Uint8Array(), { endOfStream: true }));
  let answered = 0;
  for (; bomb.ends.length === 0 && answered < 100; answered++) {
    const other = begin(processor, ["gzip"], { bodyBudget });
    other.receive(bodyOf("requestBody", gzipSync("hello"), { endOfStream: true }));
    await expect.poll(() => other.log).toEqual(["requestHeaders", "requestBody"]);
  }
  expect(answered).toBeGreaterThan(2);
  await expect.poll(() => bomb.ends.length, { timeout: 20_000 }).toBe(1);
});

test("hundreds of small bombs together hold no more than the total limit", async () => {
  const bodyBudget = budgetOf(16 * MIB);
  const processor = defineProcessor({ name: "p", timeoutMs: 50_000, requestBody: KINDS.whole });
  const small = gzipSync(new Uint8Array(16 * MIB));
  const all = Array.from({ length: 300 }, () => begin(processor, ["gzip"], { bodyBudget }));
  for (const { receive } of all) receive(bodyOf("requestBody", small, { endOfStream: true }));
  await expect.poll(() => all.filter(({ ends }) => ends.length === 1).length, { timeout: 30_000 }).toBe(300);
  const codes = new Set(all.map(({ ends }) => ends[0]?.fault?.code));
  expect([...codes].every((code) => code === "body_too_large" || code === "body_memory_exceeded")).toBe(true);
  expect(bodyBudget.share.peakBytes).toBeLessThanOrEqual(16 * MIB);
  expect(bodyBudget.share.heldBytes).toBe(0);
});

test("a chunk that decodes to very many bytes is stopped at the limit of its transaction", async () => {
  const bodyBudget = budgetOf(256 * MIB, 8 * MIB);
  const processor = defineProcessor({ name: "p", timeoutMs: 50_000, responseBody: KINDS.chunks });
  const recorded = recordSession(processor, { bodyBudget, rules: runRules(processor, { envoy }) });
  // Without a length the body leaves decoded: one answer is the only output of one piece.
  recorded.receive(headersOf("responseHeaders", [["content-encoding", "gzip"]], bodyModes("STREAMED", "STREAMED")));
  const lines = Buffer.from(Array.from({ length: 20_000 }, (_, at) => `${(at * 7919) % 9973} `).join(""));
  const text = gzipSync(Buffer.concat(Array.from({ length: 300 }, () => lines)));
  recorded.receive(bodyOf("responseBody", text));
  await expect.poll(() => recorded.ends.length, { timeout: 20_000 }).toBe(1);
  expect(recorded.ends[0]?.fault?.code).toBe("body_too_large");
  expect(bodyBudget.share.peakBytes).toBeLessThanOrEqual(8 * MIB);
  expect(bodyBudget.share.heldBytes).toBe(0);
});
