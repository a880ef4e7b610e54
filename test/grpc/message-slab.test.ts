import { describe, expect, test } from "vitest";
import { messageBytes } from "../../src/grpc/message-slab.ts";
import { bounded, fc } from "../property/seed.ts";

const lengthArbitrary = fc.oneof(
  { arbitrary: fc.nat(300), weight: 4 },
  fc.constantFrom(0, 1, 2047, 2048, 2049, 8191, 8192, 8193, 100_000),
);

describe("messageBytes", () => {
  test("gives as many bytes as it was asked for, all of them zero, although others were written to", () => {
    fc.assert(
      fc.property(fc.array(lengthArbitrary, { maxLength: 100 }), (lengths) => {
        for (const length of lengths) {
          const bytes = messageBytes(length);
          expect(bytes.length).toBe(length);
          expect(bytes.every((byte) => byte === 0)).toBe(true);
          bytes.fill(0xff);
        }
      }),
      bounded(200),
    );
  });

  test("never gives the same byte twice", () => {
    fc.assert(
      fc.property(fc.array(lengthArbitrary, { maxLength: 200 }), (lengths) => {
        const given = lengths.map((length, index) => messageBytes(length).fill(index % 256));
        given.forEach((bytes, index) => {
          expect(bytes.every((byte) => byte === index % 256)).toBe(true);
        });
      }),
      bounded(200),
    );
  });

  test("lets a kept message pin no more than 8 KiB beside itself", () => {
    for (const length of [0, 1, 100, 2047, 2048, 2049, 5000, 8192, 100_000]) {
      for (let n = 0; n < 50; n++) {
        expect(messageBytes(length).buffer.byteLength - length).toBeLessThanOrEqual(8 * 1024);
      }
    }
  });

  test("shares memory between small messages", () => {
    const buffers = new Set(Array.from({ length: 1000 }, () => messageBytes(80).buffer));
    expect(buffers.size).toBeLessThan(15);
  });
});
