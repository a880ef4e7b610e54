import { describe, expect, test } from "vitest";
import { type FramingProblem, MessageReader } from "../../src/grpc/message-reader.ts";
import { bounded, fc } from "../property/seed.ts";
import { grpcFrame } from "./framing.ts";

const MAX_BYTES = 1 << 20;

/** A reader with a record of what it found. */
function recorded({ maxBytes = MAX_BYTES, onMessage = (_reader: MessageReader) => {} } = {}) {
  const messages: Uint8Array[] = [];
  const problems: FramingProblem[] = [];
  const oversized: [message: Buffer, length: number][] = [];
  const reader: MessageReader = new MessageReader(
    {
      onMessage(message) {
        messages.push(message);
        onMessage(reader);
        return false;
      },
      onOversized: (message, length) => oversized.push([Buffer.from(message), length]),
      onUnreadable: (problem) => problems.push(problem),
    },
    maxBytes,
  );
  /** Reads pieces as a socket gives them: inside a larger buffer, which is reused at once. */
  const read = (...pieces: readonly Uint8Array[]) => {
    for (const piece of pieces) {
      const buffer = Buffer.alloc(piece.length + 7, 0xee);
      buffer.set(piece, 3);
      reader.read(buffer, 3, 3 + piece.length);
      buffer.fill(0xdd);
    }
  };
  return { reader, messages, problems, oversized, read };
}

function noise(length: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + (index >> 8)) % 251));
}

function asBuffers(messages: readonly Uint8Array[]): Buffer[] {
  return messages.map((message) => Buffer.from(message));
}

/** Small messages, empty ones, and two at the limit up to which messages share memory. */
const RECORDED = [noise(3), noise(0), noise(40), noise(0), noise(1), noise(300)];

describe("MessageReader", () => {
  test("MessageReader finds the same messages wherever a body is cut in two", () => {
    const body = Buffer.concat(RECORDED.map((message) => grpcFrame(message)));
    for (let cut = 0; cut <= body.length; cut++) {
      const { messages, problems, read, reader } = recorded();
      read(body.subarray(0, cut), body.subarray(cut));
      expect([asBuffers(messages), problems, reader.idle]).toEqual([RECORDED, [], true]);
    }
  });

  test("MessageReader finds the same messages in pieces of any one size", () => {
    const body = Buffer.concat(RECORDED.map((message) => grpcFrame(message)));
    for (let size = 1; size < 20; size++) {
      const { messages, read } = recorded();
      for (let at = 0; at < body.length; at += size) read(body.subarray(at, at + size));
      expect(asBuffers(messages)).toEqual(RECORDED);
    }
  });

  test("MessageReader finds the same messages in any pieces, large ones included", () => {
    const sizes = fc.array(fc.constantFrom(0, 1, 5, 2047, 2048, 2049, 8192, 65_535, 65_536, 65_537, 200_000), {
      maxLength: 6,
    });
    const cuts = fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(sizes, cuts, (lengths, pieces) => {
        const sent = lengths.map(noise);
        const body = Buffer.concat(sent.map((message) => grpcFrame(message)));
        const { messages, problems, read, reader } = recorded();
        for (let at = 0, n = 0; at < body.length; n++) {
          const size = pieces[n % pieces.length] ?? 1;
          read(body.subarray(at, at + size));
          at += size;
        }
        expect(problems).toEqual([]);
        expect(reader.idle).toBe(true);
        expect(messages.length).toBe(sent.length);
        expect(messages.every((message, index) => Buffer.compare(message, sent[index] ?? noise(0)) === 0)).toBe(true);
      }),
      bounded(150),
    );
  });

  test("MessageReader is idle only between two messages", () => {
    const body = Buffer.concat([grpcFrame("abc"), grpcFrame(""), grpcFrame("d")]);
    const ends = new Set([0, 8, 13, 19]);
    for (let length = 0; length <= body.length; length++) {
      const { reader, read } = recorded();
      read(body.subarray(0, length));
      expect([length, reader.idle]).toEqual([length, ends.has(length)]);
    }
  });

  test("MessageReader takes a message of exactly the largest length, and refuses a longer one at its first byte if it carries no body", () => {
    const fits = recorded({ maxBytes: 1000 });
    fits.read(grpcFrame(noise(1000)));
    expect([fits.messages.length, fits.problems]).toEqual([1, []]);
    for (const length of [1001, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      const prefix = grpcFrame("\x12", { length });
      const whole = recorded({ maxBytes: 1000 });
      whole.read(prefix);
      const split = recorded({ maxBytes: 1000 });
      split.read(prefix.subarray(0, 3), prefix.subarray(3));
      for (const { problems, messages } of [whole, split])
        expect([problems, messages]).toEqual([[{ kind: "too_large", length, tag: 0x12 }], []]);
    }
  });

  test.each<[string, number, FramingProblem]>([
    ["the compressed flag", 1, { kind: "compressed" }],
    ["flag 2", 2, { kind: "bad_flag", flag: 2 }],
    ["flag 255", 255, { kind: "bad_flag", flag: 255 }],
    ["the flag of gRPC-Web's trailers", 128, { kind: "bad_flag", flag: 128 }],
  ])("MessageReader refuses %s, after the messages in front of it and before those behind", (_name, flag, problem) => {
    const body = Buffer.concat([grpcFrame("good"), grpcFrame("bad", { flag }), grpcFrame("late")]);
    for (let cut = 0; cut <= body.length; cut++) {
      const { messages, problems, read } = recorded();
      read(body.subarray(0, cut), body.subarray(cut));
      expect([asBuffers(messages), problems]).toEqual([[Buffer.from("good")], [problem]]);
    }
  });

  test("MessageReader gives nothing after stop(), called inside a message or by its sink", () => {
    const stopped = recorded();
    stopped.read(grpcFrame("one"), grpcFrame("two").subarray(0, 6));
    stopped.reader.stop();
    stopped.read(grpcFrame("two").subarray(6), grpcFrame("three"), grpcFrame("", { flag: 9 }));
    expect([asBuffers(stopped.messages), stopped.problems]).toEqual([[Buffer.from("one")], []]);

    const body = Buffer.concat([grpcFrame("one"), grpcFrame("two"), grpcFrame("", { flag: 9 })]);
    for (let cut = 0; cut <= body.length; cut++) {
      const byItself = recorded({ onMessage: (reader) => reader.stop() });
      byItself.read(body.subarray(0, cut), body.subarray(cut));
      expect([asBuffers(byItself.messages), byItself.problems]).toEqual([[Buffer.from("one")], []]);
    }
  });

  test("MessageReader reserves no memory for a length that is only announced", () => {
    const promises = 2_000;
    const readers: MessageReader[] = [];
    const before = process.memoryUsage().arrayBuffers;
    for (let n = 0; n < promises; n++) {
      const { reader, read } = recorded({ maxBytes: 1 << 30 });
      read(grpcFrame("", { length: 1 << 30 }));
      readers.push(reader);
    }
    const bytesEach = (process.memoryUsage().arrayBuffers - before) / promises;
    expect(readers.every(({ idle }) => !idle)).toBe(true);
    expect(bytesEach).toBeLessThan(16);
  });

  test("MessageReader reserves at most twice the memory of the received bytes of a long message", () => {
    const { read, messages } = recorded({ maxBytes: 1 << 30 });
    const before = process.memoryUsage().arrayBuffers;
    read(grpcFrame("", { length: 64 << 20 }));
    const piece = noise(1 << 20);
    let most = 0;
    for (let n = 1; n <= 64; n++) {
      read(piece);
      most = Math.max(most, (process.memoryUsage().arrayBuffers - before) / n);
    }
    // Twice the bytes in the new copy and once in the old one, which is garbage by then. The pieces themselves are
    // added.
    expect(most).toBeLessThan(16 << 20);
    expect(messages.map(({ length }) => length)).toEqual([64 << 20]);
    expect(Buffer.compare(messages[0]?.subarray(63 << 20) ?? noise(0), piece)).toBe(0);
  });
});
