import { describe, expect, test } from "vitest";
import type { ProcessingRequest, ProcessingResponse } from "../../src/index.ts";
import { bounded, fc } from "../property/seed.ts";
import { transactionArbitrary } from "../property/transactions.ts";
import { serverForTest } from "../server/start-server.ts";
import { EXCHANGES, editor } from "./exchanges.ts";
import { asJson } from "./messages.ts";
import { type Heard, STREAMING_WAYS, UNARY_WAYS, type WayIn } from "./ways-in.ts";

/** Limits are not what these tests are about. */
const debugLimits = { maxCallsPerSecond: 1_000_000, maxConcurrentCalls: 1_000, maxCallBytes: 1 << 20 };

describe("the ways into the server", () => {
  test.each(EXCHANGES)(
    "every way into the server gives the same answers: $name",
    async ({ processor, options, messages, answers, code = 0, ...rest }) => {
      const { debugCode = code, unordered } = rest;
      const { port } = await serverForTest(processor, { ...options, debug: "on", debugLimits });
      const hear = async (ways: readonly WayIn[]) => {
        const heard: Record<string, Told> = {};
        for (const { name, run } of ways) heard[name] = told(await run(port, messages), unordered);
        return heard;
      };
      const streamed = await hear(STREAMING_WAYS);
      const [reference] = Object.values(streamed) as [Told];
      expect(reference.code).toBe(code);
      expect(reference.fault).toEqual(code === 0 ? undefined : expect.stringMatching(/^[a-z_]+$/));
      expect(reference.answers.map((answer) => Object.keys(answer)[0])).toEqual(answers);
      expect(streamed).toEqual(Object.fromEntries(STREAMING_WAYS.map(({ name }) => [name, reference])));

      // One call has one outcome: if it is a fault, the answers before it are not told.
      const once =
        debugCode === 0 ? reference : { code: debugCode, answers: [], fault: expect.stringMatching(/^[a-z_]+$/) };
      const unary = await hear(UNARY_WAYS);
      expect(unary).toEqual(Object.fromEntries(UNARY_WAYS.map(({ name }) => [name, once])));
      expect(new Set(Object.values(unary).map(({ fault }) => fault)).size).toBe(1);
    },
  );

  test("every way into the server gives the same answers to random transactions", { timeout: 60_000 }, async () => {
    const { port } = await serverForTest(editor, { debug: "on", debugLimits });
    await fc.assert(
      fc.asyncProperty(transactionArbitrary, async ({ messages }) => {
        const [reference, ...others] = await Promise.all(
          STREAMING_WAYS.map(async ({ run }) => told(await run(port, messages))),
        );
        for (const other of others) expect(other).toEqual(reference);
        // More than the debug service takes.
        if (reference === undefined || bytesOf(messages) > 700_000) return;
        const unary = await Promise.all(UNARY_WAYS.map(async ({ run }) => told(await run(port, messages))));
        for (const other of unary) expect(other).toEqual(reference);
      }),
      { ...bounded(60), interruptAfterTimeLimit: 20_000 },
    );
  });
});

/** Bytes of the bodies, which are nearly all of it. */
function bytesOf(messages: readonly ProcessingRequest[]): number {
  return messages.reduce((sum, { request }) => {
    const isBody = request.case === "requestBody" || request.case === "responseBody";
    return sum + (isBody ? request.value.body.length : 0);
  }, 0);
}

interface Told {
  readonly code: number;
  readonly fault: string | undefined;
  readonly answers: readonly object[];
}

/** The received messages, sorted for the comparison, since only the order within each direction is certain. */
function told({ code, fault, answers }: Heard, unordered = false): Told {
  const direction = ({ response }: ProcessingResponse) => (response.case?.startsWith("response") ? 1 : 0);
  const ordered = unordered ? answers.toSorted((a, b) => direction(a) - direction(b)) : answers;
  return { code, fault, answers: asJson(ordered) as readonly object[] };
}
