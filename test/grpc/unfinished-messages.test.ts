import { toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type FramingProblem, MessageReader } from "../../src/grpc/message-reader.ts";
import { CANCEL } from "../../src/http2/error-codes.ts";
import { defineProcessor } from "../../src/index.ts";
import { bounded, fc } from "../property/seed.ts";
import { bodyOf, headersOf } from "../protocol/messages.ts";
import { deferred, nextTurn } from "../session/deferred.ts";
import { requestBytes } from "./fake-stream.ts";
import { grpcFrame } from "./framing.ts";
import { startCall } from "./started-call.ts";

const MIB = 1 << 20;
const looksOn = defineProcessor({ name: "looks-on" });
const reads = defineProcessor({
  name: "reads",
  requestBody: { read: "whole", maxBytes: MIB, handle: () => undefined },
});

/** Room for this many bytes. It fails if the reader exceeds its limit. */
class Room {
  heldBytes = 0;
  peakBytes = 0;
  calls = 0;
  readonly maxBytes: number;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  holdReceived(bytes: number): boolean {
    this.calls++;
    if (bytes <= 0) throw new Error(`holds ${bytes} bytes`);
    if (this.heldBytes + bytes > this.maxBytes) return false;
    this.heldBytes += bytes;
    this.peakBytes = Math.max(this.peakBytes, this.heldBytes);
    return true;
  }

  releaseReceived(bytes: number): void {
    this.heldBytes -= bytes;
    if (this.heldBytes < 0) throw new Error(`${this.heldBytes} bytes are held`);
  }
}

function reading(maxBytes: number) {
  const room = new Room(maxBytes);
  const messages: Uint8Array[] = [];
  const withoutBody: [bytes: number, length: number, problem: string][] = [];
  const problems: FramingProblem[] = [];
  const sink = {
    onMessage(message: Uint8Array) {
      messages.push(message);
      return false;
    },
    onOversized: (message: Uint8Array, length: number, problem: string) =>
      withoutBody.push([message.length, length, problem]),
    onUnreadable: (problem: FramingProblem) => problems.push(problem),
  };
  const reader = new MessageReader(sink, MIB, room);
  return {
    room,
    reader,
    messages,
    withoutBody,
    problems,
    read: (bytes: Buffer) => reader.read(bytes, 0, bytes.length),
  };
}

const body = (bytes: number) => toBinary(ProcessingRequestSchema, bodyOf("requestBody", "x".repeat(bytes)));

describe("an unfinished message", () => {
  test("an unfinished message holds its received bytes and at most eight times as much, and nothing once it is complete", () => {
    const { room, messages, read } = reading(MIB);
    const bytes = grpcFrame(Buffer.alloc(500_000, 7));
    for (let at = 0; at < bytes.length; at += 5_000) {
      read(bytes.subarray(at, at + 5_000));
      const came = Math.min(at + 5_000, bytes.length) - 5;
      if (messages.length === 0) expect(room.heldBytes).toBeGreaterThanOrEqual(came > 2048 ? came : 0);
      expect(room.heldBytes).toBeLessThanOrEqual(came * 8);
    }
    expect(messages.map(({ length }) => length)).toEqual([500_000]);
    expect(room.heldBytes).toBe(0);
  });

  test("an unfinished message is not counted if it comes in one piece, or is small", () => {
    const { room, messages, read } = reading(0);
    const bytes = grpcFrame(Buffer.alloc(100_000));
    read(bytes);
    read(bytes.subarray(0, 5));
    read(bytes.subarray(5));
    for (const byte of grpcFrame(Buffer.alloc(2_000))) read(Buffer.of(byte));
    expect([messages.length, room.calls]).toEqual([3, 0]);
  });

  test("an unfinished message without room loses only its body, and the messages behind it are read", () => {
    const { room, messages, withoutBody, problems, read } = reading(100_000);
    const bytes = Buffer.concat([grpcFrame(body(500_000)), grpcFrame(body(100))]);
    for (let at = 0; at < bytes.length; at += 10_000) read(bytes.subarray(at, at + 10_000));
    expect(withoutBody.map(([, length, problem]) => [length, problem])).toEqual([[body(500_000).length, "no_room"]]);
    expect(withoutBody[0]?.[0]).toBeLessThan(100);
    expect([messages.length, problems, room.heldBytes]).toEqual([1, [], 0]);
  });

  test("an unfinished message without room and without a body ends the stream", () => {
    const { room, problems, read } = reading(1_000);
    const bytes = grpcFrame(toBinary(ProcessingRequestSchema, headersOf("requestHeaders", [["x", "v".repeat(9_000)]])));
    read(bytes.subarray(0, 6_000));
    expect(problems).toEqual([{ kind: "no_room", length: bytes.length - 5, tag: 0x12 }]);
    expect(room.heldBytes).toBe(0);
  });

  test("a message above the limit reserves nothing for the bytes that it announces in addition to its body", () => {
    const { room, problems, read } = reading(MIB);
    // A body of 10 bytes in a message of 1 MiB.
    read(Buffer.concat([grpcFrame(Buffer.of(0x22, 0x0c, 0x0a, 0x0a), { length: MIB + 8 }), Buffer.alloc(20)]));
    expect([room.heldBytes < 100, problems]).toEqual([true, []]);
  });

  test("an unfinished message gives back all that it held, whatever comes, however it is cut and wherever it ends", () => {
    const message = fc.oneof(
      fc.integer({ min: 0, max: 200_000 }).map((bytes) => grpcFrame(body(bytes))),
      fc.integer({ min: 0, max: 30_000 }).map((bytes) => grpcFrame(Buffer.alloc(bytes, 0x12))),
      fc.integer({ min: MIB, max: 2 * MIB }).map((bytes) => grpcFrame(body(bytes))),
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes)),
    );
    const cuts = fc.array(fc.integer({ min: 1, max: 40_000 }), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(
        fc.array(message, { maxLength: 5 }),
        cuts,
        fc.integer({ min: 0, max: 300_000 }),
        fc.nat(),
        (all, sizes, most, end) => {
          const { room, reader, read } = reading(most);
          const bytes = Buffer.concat(all);
          const whole = bytes.subarray(0, end % (bytes.length + 1));
          for (let at = 0, n = 0; at < whole.length; n++) {
            const size = sizes[n % sizes.length] ?? 1;
            read(whole.subarray(at, at + size));
            at += size;
            if (reader.idle && room.heldBytes !== 0)
              throw new Error(`${room.heldBytes} bytes are held between messages`);
          }
          reader.stop();
          expect(room.heldBytes).toBe(0);
        },
      ),
      bounded(300),
    );
  });
});

describe("a call whose message has no room", () => {
  const half = requestBytes(bodyOf("requestBody", "x".repeat(100_000)));

  test("a call whose message has no room ends with RESOURCE_EXHAUSTED and names the setting, if the message cannot pass", () => {
    const { stream, ends, receiveBytes } = startCall(looksOn);
    stream.mayHoldBytes = 10_000;
    receiveBytes(requestBytes(headersOf("requestHeaders", [["x", "v".repeat(90_000)]])).subarray(0, 50_000));
    expect(stream.ending["grpc-status"]).toBe("8");
    expect(stream.ending["grpc-message"]).toMatch(/^message_memory_exceeded: .*--max-held-message-bytes/);
    expect(ends).toMatchObject([{ result: "fault" }]);
    expect([stream.heldBytes, stream.charges]).toEqual([0, 0]);
  });

  test.each([true, false])(
    "a call whose message has no room answers 503 for a body that a handler must see, and lets other bodies pass: %s",
    (mustSee) => {
      const { stream, receive, receiveBytes } = startCall(mustSee ? reads : looksOn);
      receive(headersOf("requestHeaders"));
      stream.mayHoldBytes = 10_000;
      for (let at = 0; at < half.length; at += 7_000) receiveBytes(half.subarray(at, at + 7_000));
      const { response } = stream.answers.at(-1) ?? {};
      if (mustSee) {
        expect(response).toMatchObject({
          case: "immediateResponse",
          value: { status: { code: 503 }, details: "ext_proc_fault_message_memory_exceeded" },
        });
      } else expect(response).toMatchObject({ case: "requestBody" });
      expect(stream.heldBytes).toBe(0);
    },
  );
});

describe("messages that wait for a handler", () => {
  const chunk = bodyOf("requestBody", "x".repeat(1_000), { endOfStream: false });

  function held() {
    const gate = deferred<void>();
    const started = startCall(defineProcessor({ name: "held", requestHeaders: () => gate.promise }));
    started.receive(headersOf("requestHeaders"));
    return { gate, ...started };
  }

  test("messages that wait for a handler count with the objects that they were read into, until their turn comes", async () => {
    const { gate, stream, receive } = held();
    expect(stream.heldBytes).toBe(0);
    for (let n = 0; n < 10; n++) receive(chunk);
    // 1,000 bytes of body, and 10 bytes around it.
    expect(stream.heldBytes).toBeGreaterThan(10 * 1_500);
    expect(stream.heldBytes).toBeLessThan(10 * 2_000);
    gate.resolve();
    await nextTurn();
    expect(stream.heldBytes).toBe(0);
    expect(stream.answers.length).toBe(11);
  });

  test("messages that wait for a handler end their call if there is no room for another one", () => {
    const { stream, ends, receive } = held();
    stream.mayHoldBytes = 50_000;
    for (let n = 0; n < 100; n++) receive(bodyOf("requestBody", "", { endOfStream: false }));
    expect(ends).toMatchObject([{ fault: { code: "message_memory_exceeded" } }]);
    expect(stream.heldBytes).toBe(0);
  });

  test("messages that wait for a handler are no longer counted when Envoy has left", () => {
    const { call, stream, receive } = held();
    for (let n = 0; n < 10; n++) receive(chunk);
    call.onReset(CANCEL);
    expect(stream.heldBytes).toBe(0);
  });
});
