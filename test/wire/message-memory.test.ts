import { describe, expect, test } from "vitest";
import { messageMemory, recycleMessage } from "../../src/wire/message-memory.ts";
import { bounded, fc } from "../property/seed.ts";

const lengthArbitrary = fc.oneof(
  { arbitrary: fc.nat(300), weight: 4 },
  fc.constantFrom(0, 1, 2047, 2048, 2049, 8191, 8192, 8193, 100_000),
);

describe("messageMemory", () => {
  test("messageMemory gives as many bytes as were requested", () => {
    fc.assert(
      fc.property(fc.array(lengthArbitrary, { maxLength: 100 }), (lengths) => {
        for (const length of lengths) {
          expect(messageMemory(length).length).toBe(length);
        }
      }),
      bounded(200),
    );
  });

  test("messageMemory never gives the same byte twice", () => {
    fc.assert(
      fc.property(fc.array(lengthArbitrary, { maxLength: 200 }), (lengths) => {
        const given = lengths.map((length, index) => messageMemory(length).fill(index % 256));
        given.forEach((bytes, index) => {
          expect(bytes.every((byte) => byte === index % 256)).toBe(true);
        });
      }),
      bounded(200),
    );
  });

  test("messageMemory lets a kept message keep at most 8 KiB of other memory", () => {
    for (const length of [0, 1, 100, 2047, 2048, 2049, 5000, 8192, 100_000]) {
      for (let n = 0; n < 50; n++) {
        expect(messageMemory(length).buffer.byteLength - length).toBeLessThanOrEqual(8 * 1024);
      }
    }
  });

  test("messageMemory shares memory between small messages", () => {
    const buffers = new Set(Array.from({ length: 1000 }, () => messageMemory(80).buffer));
    expect(buffers.size).toBeLessThan(15);
  });
});

describe("recycleMessage", () => {
  test("recycleMessage makes a large message's memory available again, once", () => {
    const first = messageMemory(70_000);
    recycleMessage(first);
    const [second, third] = [messageMemory(69_000), messageMemory(70_000)];
    expect(second.buffer).toBe(first.buffer);
    expect(third.buffer).not.toBe(first.buffer);
  });

  test("recycleMessage never returns memory that is in use", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(lengthArbitrary, fc.boolean()), { maxLength: 200 }), (steps) => {
        const kept: [Uint8Array, number][] = [];
        steps.forEach(([length, isSpent], index) => {
          const bytes = messageMemory(length).fill(index % 256);
          if (isSpent) recycleMessage(bytes);
          else kept.push([bytes, index % 256]);
        });
        for (const [bytes, value] of kept) expect(bytes.every((byte) => byte === value)).toBe(true);
      }),
      bounded(200),
    );
  });

  test("recycleMessage ignores the slab of a small message, and memory that is too large to keep", () => {
    for (const length of [100, 8192, 300_000]) {
      const bytes = messageMemory(length);
      recycleMessage(bytes);
      const others = Array.from({ length: 20 }, () => messageMemory(length));
      expect(others.some(({ buffer, byteOffset }) => buffer === bytes.buffer && byteOffset === bytes.byteOffset)).toBe(
        false,
      );
    }
  });

  test("recycleMessage keeps a limited amount", () => {
    const many = Array.from({ length: 100 }, () => messageMemory(200_000));
    const buffers = new Set(many.map(({ buffer }) => buffer));
    many.forEach(recycleMessage);
    const again = Array.from({ length: 100 }, () => messageMemory(200_000)).filter(({ buffer }) => buffers.has(buffer));
    expect(again.length * 200_000).toBeLessThanOrEqual(4 << 20);
  });
});
