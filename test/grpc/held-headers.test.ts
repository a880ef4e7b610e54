import { expect, test } from "vitest";
import { CANCEL } from "../../src/http2/error-codes.ts";
import { defineProcessor } from "../../src/index.ts";
import { MemoryAccount } from "../../src/memory/memory-account.ts";
import { bodyOf, type HeaderPairs, headersOf } from "../protocol/messages.ts";
import { type Deferred, deferred, nextTurn } from "../session/deferred.ts";
import { startCall } from "./started-call.ts";

const KIB = 1 << 10;
const LARGE: HeaderPairs = [["cookie", "c".repeat(100 * KIB)]];
const MANY: HeaderPairs = Array.from({ length: 5000 }, (_, at) => [`h${at}`, ""] as const);
const passive = defineProcessor({ name: "passive", requestHeaders: () => undefined });

/** A processor whose header handlers hang until the test settles them. */
function hanging() {
  const handlers: Deferred<undefined>[] = [];
  const processor = defineProcessor({
    name: "hangs",
    requestHeaders() {
      const handler = deferred<undefined>();
      handlers.push(handler);
      return handler.promise;
    },
  });
  return { handlers, processor };
}

test("large headers count as held until the stream is over, and not longer", () => {
  const memory = new MemoryAccount();
  const { call, receive } = startCall(passive, { memory });
  receive(headersOf("requestHeaders", LARGE));
  expect(memory.headers.heldBytes).toBeGreaterThan(100 * KIB);
  receive(headersOf("responseHeaders", LARGE), bodyOf("responseBody", "b".repeat(100 * KIB), { endOfStream: true }));
  expect(memory.headers.heldBytes).toBeGreaterThan(200 * KIB);
  expect(memory.headers.heldBytes).toBeLessThan(250 * KIB);
  call.onReset(CANCEL);
  expect(memory.headers.heldBytes).toBe(0);
});

test("headers below 4 KiB are not counted", () => {
  const memory = new MemoryAccount();
  startCall(passive, { memory }).receive(headersOf("requestHeaders", [["cookie", "c".repeat(3 * KIB)]]));
  expect(memory.headers.peakBytes).toBe(0);
});

test("many small headers count with the objects that they become", () => {
  const memory = new MemoryAccount();
  startCall(passive, { memory }).receive(headersOf("requestHeaders", MANY));
  expect(memory.headers.heldBytes).toBeGreaterThan(5000 * 200);
});

test("large headers of the gRPC call itself count as held", () => {
  const memory = new MemoryAccount();
  const { call } = startCall(passive, { memory, metadata: [["x-large", "v".repeat(20 * KIB)]] });
  expect(memory.headers.heldBytes).toBeGreaterThan(20 * KIB);
  call.onReset(CANCEL);
  expect(memory.headers.heldBytes).toBe(0);
});

test("large headers stay counted after a reset until the handler that hangs on them settles", async () => {
  const memory = new MemoryAccount();
  const { handlers, processor } = hanging();
  const { call, receive, stream } = startCall(processor, { memory });
  receive(headersOf("requestHeaders", LARGE));
  call.onReset(CANCEL);
  await nextTurn();
  expect([memory.headers.heldBytes > 100 * KIB, stream.holds]).toEqual([true, 1]);
  handlers[0]?.resolve(undefined);
  await nextTurn();
  expect([memory.headers.heldBytes, stream.holds]).toEqual([0, 0]);
});

test("a transaction with large headers beyond their cap is refused with 503, and its handler is not called", async () => {
  const memory = new MemoryAccount({ headers: 1 << 20 });
  const { handlers, processor } = hanging();
  const calls = Array.from({ length: 50 }, () => startCall(processor, { memory }));
  for (const { receive } of calls) receive(headersOf("requestHeaders", LARGE));
  for (const { call } of calls.slice(0, handlers.length)) call.onReset(CANCEL);
  await nextTurn();
  expect(handlers.length).toBe(10);
  expect(memory.headers.peakBytes).toBeLessThanOrEqual(1 << 20);
  for (const { ends, stream } of calls.slice(handlers.length)) {
    expect(ends[0]?.fault?.code).toBe("message_memory_exceeded");
    expect(stream.answers[0]?.response.value).toMatchObject({ status: { code: 503 } });
  }
  expect(memory.headers.refusals).toBe(40);
  for (const handler of handlers) handler.reject(new Error("too late"));
  await nextTurn();
  expect(memory.headers.heldBytes).toBe(0);
});

test("a call whose own headers find no room is refused before its first message", () => {
  const memory = new MemoryAccount({ headers: 10 * KIB });
  const { ends } = startCall(passive, { memory, metadata: [["x-large", "v".repeat(20 * KIB)]] });
  expect(ends[0]?.fault?.code).toBe("message_memory_exceeded");
  expect(memory.headers.heldBytes).toBe(0);
});
