import { brotliCompressSync, gzipSync } from "node:zlib";
import { expect, test } from "vitest";
import { compose, defineProcessor, replaceText } from "../../src/index.ts";
import { BodyBudget } from "../../src/memory/body-budget.ts";
import { MemoryShare } from "../../src/memory/memory-share.ts";
import { runRules } from "../../src/processor/run-rules.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf } from "../protocol/messages.ts";
import { type Deferred, deferred, nextTurn } from "../session/deferred.ts";
import { ManualTimers } from "../session/manual-timers.ts";
import { type RecordedSession, recordSession } from "../session/recorded-session.ts";
import { bounded, fc } from "./seed.ts";

const MAX_BYTES = 400_000;
const MAX_STREAM_BYTES = 200_000;

/** A share that fails the test as soon as it is negative or above its cap. */
class WatchedShare extends MemoryShare {
  override take(bytes: number): boolean {
    expect(bytes).toBeGreaterThanOrEqual(0);
    const fits = super.take(bytes);
    expect(this.heldBytes).toBeLessThanOrEqual(this.maxBytes);
    return fits;
  }

  override give(bytes: number): void {
    super.give(bytes);
    expect(this.heldBytes).toBeGreaterThanOrEqual(0);
  }
}

const READS = ["whole", "text", "json", "chunks", "inspect", "stream"] as const;
type Read = (typeof READS)[number];
const MODES = ["BUFFERED", "STREAMED", "FULL_DUPLEX_STREAMED"] as const;
const CODINGS = {
  none: (bytes: Uint8Array) => bytes,
  gzip: (bytes: Uint8Array) => gzipSync(bytes),
  br: (bytes: Uint8Array) => brotliCompressSync(bytes),
};

/** A handler that does what the test tells it, now or later. */
function handlerOf(read: Read, wait: () => Promise<undefined> | undefined): object {
  switch (read) {
    case "chunks":
    case "inspect":
      return { read, overLimit: "pass", chunk: wait };
    case "stream":
      return {
        read,
        async *handle(chunks: AsyncIterable<Uint8Array>) {
          for await (const chunk of chunks) {
            await wait();
            yield chunk;
          }
        },
      };
    case "text":
      return { read, handle: async () => (await wait()) ?? replaceText("short") };
    default:
      return { read, handle: wait };
  }
}

const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant("open" as const), coding: fc.constantFrom("none", "gzip", "br") }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("send" as const),
      of: fc.nat(9),
      part: fc.nat(3),
      isEnd: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("reset" as const), of: fc.nat(9) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("half-close" as const), of: fc.nat(9) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("settle" as const), of: fc.nat(9), fails: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("time" as const), ms: fc.nat(400) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("turn" as const) }) },
);

const scenes = fc.record({
  reads: fc.array(fc.constantFrom(...READS), { minLength: 1, maxLength: 2 }),
  mode: fc.constantFrom(...MODES),
  hangs: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
  texts: fc.array(fc.integer({ min: 1, max: 30_000 }), { minLength: 1, maxLength: 3 }),
  steps: fc.array(step, { minLength: 5, maxLength: 40 }),
});

test("the memory account is empty after any mixture of bodies, resets, timeouts and settled handlers, and never exceeds its cap", async () => {
  let held = 0;
  await fc.assert(
    fc.asyncProperty(scenes, async ({ reads, mode, hangs, texts, steps }) => {
      const share = new WatchedShare("bodies", MAX_BYTES);
      const bodyBudget = new BodyBudget(share, MAX_STREAM_BYTES);
      const timers = new ManualTimers();
      const handlers: Deferred<undefined>[] = [];
      let calls = 0;
      const wait = () => {
        if (hangs[calls++ % hangs.length] === false) return undefined;
        const handler = deferred<undefined>();
        handlers.push(handler);
        return handler.promise;
      };
      const processor = compose(
        ...reads.map((read, index) =>
          defineProcessor({ name: `p${index}`, requestBody: handlerOf(read, wait) as never }),
        ),
      );
      const rules = runRules(processor, {});
      const open: { readonly session: RecordedSession; readonly parts: Uint8Array[] }[] = [];
      for (const each of steps) {
        const one = "of" in each && open.length > 0 ? open[each.of % open.length] : undefined;
        if (each.kind === "open") {
          const session = recordSession(processor, { bodyBudget, timers, rules });
          const headers: HeaderPairs = each.coding === "none" ? [] : [["content-encoding", each.coding]];
          session.receive(headersOf("requestHeaders", headers, bodyModes(mode)));
          const length = texts[open.length % texts.length] ?? 1;
          const body = CODINGS[each.coding as keyof typeof CODINGS](Buffer.from(JSON.stringify("x".repeat(length))));
          const size = Math.ceil(body.length / 3);
          open.push({
            session,
            parts: [0, 1, 2].map((at) => Uint8Array.from(body.subarray(at * size, (at + 1) * size))),
          });
        }
        if (each.kind === "send" && one) {
          for (let count = 0; count <= each.part; count++) {
            const part = one.parts.shift();
            const endOfStream = one.parts.length === 0 && each.isEnd;
            if (part) one.session.receive(bodyOf("requestBody", part, { endOfStream }));
          }
        }
        if (each.kind === "reset") one?.session.session.cancel();
        if (each.kind === "half-close") one?.session.session.finish();
        if (each.kind === "time") timers.advance(each.ms);
        if (each.kind === "turn") await nextTurn();
        if (each.kind === "settle") {
          const handler = handlers[each.of % Math.max(1, handlers.length)];
          if (each.fails) handler?.reject(new Error("failed"));
          else handler?.resolve(undefined);
        }
        held = Math.max(held, share.heldBytes);
      }
      for (const { session } of open) session.session.cancel();
      // Each handler that settles may let the next one begin.
      for (let settled = 0; settled < handlers.length || share.heldBytes > 0; ) {
        for (; settled < handlers.length; settled++) handlers[settled]?.resolve(undefined);
        await nextTurn();
      }
      expect(share.heldBytes).toBe(0);
    }),
    bounded(200),
  );
  expect(held).toBeGreaterThan(MAX_STREAM_BYTES / 2);
});
