import { describe, expect, test } from "vitest";
import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { defineProcessor, type Processor } from "../../../src/processor/definition.ts";
import { processStream } from "../../../src/services/process/process-stream.ts";
import { bodyModes, bodyOf, type Envelope, headersOf } from "../../protocol/messages.ts";
import { deferred, nextTurn } from "../../session/deferred.ts";

const MESSAGES = 10_000;
/** Above the limit of 16, and far below the number of messages that the client offers. */
const FEW = 32;

/** A client that would send without end. */
function flood(first: ProcessingRequest, chunk: ProcessingRequest) {
  const sent = { count: 0 };
  async function* messages(): AsyncGenerator<ProcessingRequest> {
    for (; sent.count < MESSAGES; sent.count++) yield sent.count === 0 ? first : chunk;
  }
  return { sent, messages: messages() };
}

function open(processor: Processor, messages: AsyncIterable<ProcessingRequest>) {
  const abort = new AbortController();
  return { abort, stream: processStream(processor, messages, { origin: "envoy", signal: abort.signal }) };
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await nextTurn();
}

async function countRest(stream: AsyncIterable<unknown>): Promise<number> {
  let count = 0;
  for await (const _answer of stream) count++;
  return count;
}

describe("back-pressure of a stream", () => {
  test("a stream is not read while a handler stalls, and is read again when the handler is done", async () => {
    const handler = deferred();
    const { sent, messages } = flood(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    const { stream } = open(defineProcessor({ name: "stalled", requestHeaders: () => handler.promise }), messages);
    const counted = countRest(stream);
    await turns(50);
    expect(sent.count).toBeGreaterThan(1);
    expect(sent.count).toBeLessThan(FEW);
    handler.resolve();
    expect(await counted).toBe(MESSAGES);
  });

  test("a stream is not read while its answers are not taken, and is read again when they are", async () => {
    const { sent, messages } = flood(headersOf("requestHeaders"), bodyOf("requestBody", "x"));
    const { stream } = open(defineProcessor({ name: "idle" }), messages);
    await stream.next();
    await turns(50);
    expect(sent.count).toBeLessThan(FEW);
    expect(await countRest(stream)).toBe(MESSAGES - 1);
  });

  test("a stream is not read while the pieces of one large body are not taken", async () => {
    const first = headersOf("requestHeaders", [], bodyModes("FULL_DUPLEX_STREAMED"));
    const { sent, messages } = flood(first, bodyOf("requestBody", new Uint8Array(1 << 20)));
    const { stream, abort } = open(defineProcessor({ name: "idle" }), messages);
    await stream.next();
    await turns(50);
    expect(sent.count).toBeLessThan(4);
    abort.abort();
    await stream.return(undefined);
  });

  test("a stream in observability mode is not read while a handler stalls, and is read again when the handler is done", async () => {
    const observed: Envelope = { observabilityMode: true };
    const handler = deferred();
    const { sent, messages } = flood(
      headersOf("requestHeaders", [], observed),
      bodyOf("requestBody", "x", {}, observed),
    );
    const { stream } = open(defineProcessor({ name: "stalled", requestHeaders: () => handler.promise }), messages);
    const counted = countRest(stream);
    await turns(50);
    expect(sent.count).toBeLessThan(FEW);
    handler.resolve();
    expect(await counted).toBe(0);
    expect(sent.count).toBe(MESSAGES);
  });
});
