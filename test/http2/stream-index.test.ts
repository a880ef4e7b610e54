import { describe, expect, test } from "vitest";
import type { ServerStream } from "../../src/http2/server-stream.ts";
import { StreamIndex } from "../../src/http2/stream-index.ts";
import { bounded, fc } from "../property/seed.ts";

/** The index reads only the identifier. */
function streamOf(id: number): ServerStream {
  return { id } as unknown as ServerStream;
}

function idsOf(index: StreamIndex): number[] {
  return index
    .toArray()
    .map(({ id }) => id)
    .sort((a, b) => a - b);
}

/** The index must agree with the map about every identifier that was ever used. */
function expectSame(index: StreamIndex, map: ReadonlyMap<number, ServerStream>, ids: Iterable<number>): void {
  expect(index.size).toBe(map.size);
  for (const id of ids) expect(index.get(id)).toBe(map.get(id));
  expect(idsOf(index)).toEqual([...map.keys()].sort((a, b) => a - b));
}

/** Small identifiers, the largest ones, and identifiers that share a few slots, whatever the size of the table. */
const idArbitrary = fc.oneof(
  fc.nat(40).map((n) => 2 * n + 1),
  fc.tuple(fc.nat(3), fc.constantFrom(32, 64, 128, 4096, 65_536)).map(([n, step]) => 2 * n * step + 1),
  fc.tuple(fc.nat(3), fc.constantFrom(32, 64, 128)).map(([n, step]) => 2 * (n + 1) * step - 1),
  fc.constantFrom(0x7fff_ffff, 0x7fff_fffd, 0x7fff_ffdf),
);

const stepArbitrary = fc.record({ id: idArbitrary, keep: fc.boolean() });

describe("StreamIndex", () => {
  test("StreamIndex is empty at first", () => {
    const index = new StreamIndex();
    expect([index.size, index.toArray(), index.get(1)]).toEqual([0, [], undefined]);
    index.delete(1);
    expect(index.size).toBe(0);
  });

  test("StreamIndex behaves as a Map under any sequence of additions and deletions", () => {
    fc.assert(
      fc.property(fc.array(stepArbitrary, { maxLength: 200 }), (steps) => {
        const index = new StreamIndex();
        const map = new Map<number, ServerStream>();
        for (const { id, keep } of steps) {
          if (keep && !map.has(id)) {
            const stream = streamOf(id);
            index.add(stream);
            map.set(id, stream);
          } else if (!keep) {
            index.delete(id);
            map.delete(id);
          }
        }
        expectSame(
          index,
          map,
          steps.map(({ id }) => id),
        );
      }),
      bounded(1_000),
    );
  });

  test("StreamIndex finds a stream that was pushed past the end of the table, after the streams before it are gone", () => {
    // All belong to slot 15 of 16: the second and third wrap around to slots 0 and 1.
    const ids = [31, 63, 95];
    for (const gone of ids) {
      const index = new StreamIndex();
      for (const id of ids) index.add(streamOf(id));
      index.delete(gone);
      expect(index.get(gone)).toBeUndefined();
      expect(idsOf(index)).toEqual(ids.filter((id) => id !== gone));
      for (const id of ids) if (id !== gone) expect(index.get(id)?.id).toBe(id);
    }
  });

  test("StreamIndex keeps tens of thousands of streams, added in order and deleted in any order", () => {
    const index = new StreamIndex();
    const map = new Map<number, ServerStream>();
    const ids = Array.from({ length: 20_000 }, (_, n) => 2 * n + 1);
    for (const id of ids) {
      const stream = streamOf(id);
      index.add(stream);
      map.set(id, stream);
    }
    expectSame(index, map, ids);
    // 7919 is prime to 20,000, so every identifier comes once, far from the one before.
    for (let n = 0; n < 15_000; n++) {
      const id = ids[(n * 7919) % ids.length] ?? 0;
      index.delete(id);
      map.delete(id);
    }
    expectSame(index, map, ids);
  });

  test("StreamIndex supports a window of live streams that moves on forever", () => {
    const index = new StreamIndex();
    for (let id = 1; id < 200_001; id += 2) {
      index.add(streamOf(id));
      if (id > 100) index.delete(id - 100);
    }
    expect(idsOf(index)).toEqual(Array.from({ length: 50 }, (_, n) => 199_901 + 2 * n));
  });
});
