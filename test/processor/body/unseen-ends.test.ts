import { describe, expect, test } from "vitest";
import { appendChunk, defineProcessor, type TransactionOutcome } from "../../../src/index.ts";
import type { BodyMode } from "../../../src/protocol/body-mode.ts";
import { bodyModes, bodyOf, type HeaderPairs, headersOf, trailersOf } from "../../protocol/messages.ts";
import { nextTurn } from "../deferred.ts";
import { recordSession } from "../recorded-session.ts";

const KINDS = {
  stream: {
    read: "stream",
    async *handle(chunks: AsyncIterable<Uint8Array>) {
      yield* chunks;
    },
  },
  "chunks with an end": { read: "chunks", chunk: () => undefined, end: () => appendChunk("!") },
  "inspect with an end": { read: "inspect", end: () => undefined },
  chunks: { read: "chunks", chunk: () => undefined },
} as const;

function begun(kind: keyof typeof KINDS, mode: BodyMode = "STREAMED", headers: HeaderPairs = []) {
  const outcomes: TransactionOutcome[] = [];
  const unenforced: string[] = [];
  const processor = defineProcessor({
    name: "p",
    requestHeaders: () => undefined,
    responseBody: KINDS[kind],
    done: (_tx, outcome) => outcomes.push(outcome),
  });
  const recorded = recordSession(processor, {
    observer: {
      message: () => undefined,
      ended: () => undefined,
      unenforced: (reason, wanted) => unenforced.push(`${reason} ${wanted}`),
    },
  });
  recorded.receive(headersOf("requestHeaders", [], { endOfStream: true, ...bodyModes(mode) }));
  recorded.receive(headersOf("responseHeaders", headers), bodyOf("responseBody", "abc"));
  return { ...recorded, outcomes, unenforced };
}

describe("an end of a body that Envoy does not show", () => {
  test.each([
    ["stream", "cancel"],
    ["chunks with an end", "cancel"],
    ["chunks with an end", "finish"],
    ["inspect with an end", "finish"],
  ] as const)("is counted and told to done where a handler reads %s, after %s", async (kind, how) => {
    const { session, outcomes, unenforced } = begun(kind);
    await nextTurn();
    session[how]();
    await nextTurn();
    expect(unenforced).toEqual(["body_end_unseen responseBody"]);
    expect(outcomes).toMatchObject([{ result: "completed", unseenEnds: ["responseBody"] }]);
  });

  test("is none where no handler waits for it", () => {
    const { session, outcomes, unenforced } = begun("chunks");
    session.cancel();
    expect(unenforced).toEqual([]);
    expect(outcomes[0]?.unseenEnds).toBeUndefined();
  });

  test("is none where it was shown, or the length told it", () => {
    const shown = begun("chunks with an end");
    shown.receive(bodyOf("responseBody", "d", { endOfStream: true }));
    const counted = begun("chunks with an end", "STREAMED", [["content-length", "3"]]);
    for (const { session, unenforced } of [shown, counted]) {
      session.cancel();
      expect(unenforced).toEqual([]);
    }
  });

  test("is a fault where trailers show it", () => {
    const { receive, ends, unenforced } = begun("chunks with an end");
    receive(trailersOf("responseTrailers"));
    expect(ends[0]?.fault?.code).toBe("tail_undeliverable");
    expect(unenforced).toEqual([]);
  });

  test("is owed in FULL_DUPLEX_STREAMED, where a body that ends early is no secret", () => {
    const { session, unenforced } = begun("chunks with an end", "FULL_DUPLEX_STREAMED");
    session.cancel();
    expect(unenforced).toEqual([]);
  });
});
