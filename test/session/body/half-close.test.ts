import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor, type Processor, replaceBody } from "../../../src/index.ts";
import { bodyModes, bodyOf, headersOf, trailersOf } from "../../protocol/messages.ts";
import { nextTurn } from "../deferred.ts";
import { recordSession } from "../recorded-session.ts";
import { upperProcessor } from "./upper.ts";

const DUPLEX = bodyModes("FULL_DUPLEX_STREAMED");
const OPEN = headersOf("requestHeaders", [[":method", "POST"]], DUPLEX);
const PIECE = bodyOf("requestBody", "a piece");
const END = bodyOf("requestBody", "", { endOfStream: true });

/** Keeps what comes until it has seen the next piece. */
const lagging = defineProcessor({
  name: "lagging",
  requestBody: {
    read: "stream",
    async *handle(chunks) {
      let last: Uint8Array | undefined;
      for await (const chunk of chunks) {
        if (last) yield last;
        last = chunk;
      }
      if (last) yield last;
    },
  },
});

/** How a session ends whose peer half-closes behind these messages. */
async function endBehind(processor: Processor, messages: readonly ProcessingRequest[]) {
  const recorded = recordSession(processor);
  for (const message of messages) {
    recorded.receive(message);
    await nextTurn();
  }
  recorded.session.finish();
  await nextTurn();
  return recorded.log.at(-1);
}

describe("a peer that half-closes in the middle of a full-duplex body", () => {
  test.each(["whole", "text"] as const)(
    "leaves an answer unanswered where headers wait for all of the body, which a handler reads as %s",
    async (kind) => {
      expect(await endBehind(upperProcessor(kind), [OPEN])).toBe("ended: unanswered");
      expect(await endBehind(upperProcessor(kind), [OPEN, PIECE])).toBe("ended: unanswered");
    },
  );

  test("has canceled where a handler keeps a piece", async () => {
    expect(await endBehind(lagging, [OPEN, PIECE, PIECE])).toBe("ended: canceled");
  });

  test("has canceled where a changed body has begun to leave", async () => {
    expect(await endBehind(upperProcessor("chunks"), [OPEN, PIECE])).toBe("ended: canceled");
  });

  test("is done where every piece went back as it came", async () => {
    const looking = defineProcessor({ name: "looking", requestBody: { read: "inspect", chunk: () => undefined } });
    expect(await endBehind(looking, [OPEN, PIECE])).toBe("ended: completed");
  });

  test("gets the answer of a handler that is still at work, before it is done", async () => {
    const slow = defineProcessor({
      name: "slow",
      requestBody: {
        read: "whole",
        async handle() {
          await nextTurn();
          return replaceBody(new Uint8Array([1]));
        },
      },
    });
    const recorded = recordSession(slow);
    recorded.receive(OPEN, PIECE, END);
    recorded.session.finish();
    expect(recorded.log).toEqual([]);
    await nextTurn();
    await nextTurn();
    expect(recorded.log).toEqual(["requestHeaders", "requestBody", "ended: completed"]);
  });
});

test.each(["whole", "chunks", "stream"] as const)(
  "a peer that half-closes behind a body that a handler reads as %s is done",
  async (kind) => {
    expect(await endBehind(upperProcessor(kind), [OPEN, PIECE, END])).toBe("ended: completed");
    const trailers = [OPEN, PIECE, trailersOf("requestTrailers")];
    expect(await endBehind(upperProcessor(kind), trailers)).toBe("ended: completed");
  },
);

test.each(["STREAMED", "GRPC"] as const)(
  "a peer that half-closes behind pieces in %s is done: trailers that it does not send may have hidden the end",
  async (mode) => {
    const open = headersOf("requestHeaders", [[":method", "POST"]], bodyModes(mode));
    expect(await endBehind(upperProcessor("chunks"), [open, PIECE])).toBe("ended: completed");
  },
);

test("a peer that half-closes behind an early response is done, whatever became of the request's body", async () => {
  const early = [OPEN, PIECE, PIECE, headersOf("responseHeaders", [[":status", "413"]], { endOfStream: true })];
  expect(await endBehind(lagging, early)).toBe("ended: completed");
});

test("a peer that only watches is done whenever it half-closes", async () => {
  const watched = headersOf("requestHeaders", [], { observabilityMode: true });
  expect(await endBehind(upperProcessor("whole"), [watched])).toBe("ended: completed");
});
