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

/** Holds each piece back until the next one comes. */
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

/** How a session ends if Envoy half-closes after these messages. */
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

describe("a half-close in the middle of a full-duplex body", () => {
  test.each(["whole", "text"] as const)(
    "a half-close leaves an answer unanswered if headers wait for all of the body, which a handler reads as %s",
    async (kind) => {
      expect(await endBehind(upperProcessor(kind), [OPEN])).toBe("ended: unanswered");
      expect(await endBehind(upperProcessor(kind), [OPEN, PIECE])).toBe("ended: unanswered");
    },
  );

  test("a half-close in a body ends the session as canceled if a handler holds a piece back", async () => {
    expect(await endBehind(lagging, [OPEN, PIECE, PIECE])).toBe("ended: canceled");
  });

  test("a half-close in a body ends the session as canceled if a changed body has begun to leave", async () => {
    expect(await endBehind(upperProcessor("chunks"), [OPEN, PIECE])).toBe("ended: canceled");
  });

  test("a half-close in a body ends the session as completed if every piece went back unchanged", async () => {
    const looking = defineProcessor({ name: "looking", requestBody: { read: "inspect", chunk: () => undefined } });
    expect(await endBehind(looking, [OPEN, PIECE])).toBe("ended: completed");
  });

  test("a half-close in a body waits for a handler that is still at work, and sends its answer", async () => {
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
  "a half-close behind a body that a handler reads as %s ends the session as completed",
  async (kind) => {
    expect(await endBehind(upperProcessor(kind), [OPEN, PIECE, END])).toBe("ended: completed");
    const trailers = [OPEN, PIECE, trailersOf("requestTrailers")];
    expect(await endBehind(upperProcessor(kind), trailers)).toBe("ended: completed");
  },
);

test.each(["STREAMED", "GRPC"] as const)(
  "a half-close behind pieces in %s ends the session as completed, since trailers that Envoy does not send may have hidden the end",
  async (mode) => {
    const open = headersOf("requestHeaders", [[":method", "POST"]], bodyModes(mode));
    expect(await endBehind(upperProcessor("chunks"), [open, PIECE])).toBe("ended: completed");
  },
);

test("a half-close behind an early response ends the session as completed, whatever happened to the request's body", async () => {
  const early = [OPEN, PIECE, PIECE, headersOf("responseHeaders", [[":status", "413"]], { endOfStream: true })];
  expect(await endBehind(lagging, early)).toBe("ended: completed");
});

test("a half-close in observability mode always ends the session as completed", async () => {
  const watched = headersOf("requestHeaders", [], { observabilityMode: true });
  expect(await endBehind(upperProcessor("whole"), [watched])).toBe("ended: completed");
});
