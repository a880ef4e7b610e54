import { describe, expect, test } from "vitest";
import { ConnectionError } from "../../src/http2/end-reason.ts";
import type { HeaderList } from "../../src/http2/header-list.ts";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";
import { bounded, fc } from "../property/seed.ts";
import { usedBytes } from "../used-bytes.ts";
import { integer, literal } from "./raw-frames.ts";

const decoder = (limits = {}) => new HpackDecoder(resolveHttp2Limits(limits));

/** Decodes a block in pieces of this length. */
function inPieces(hpack: HpackDecoder, block: Buffer, pieceBytes: number): HeaderList {
  const fragments = hpack.begin();
  for (let at = 0; at < block.length; at += pieceBytes) {
    fragments.add(block, at, Math.min(block.length, at + pieceBytes));
  }
  return fragments.finish();
}

/** The result for a block: the list, or the reason why the connection ends. */
function outcome(decode: () => HeaderList): unknown {
  try {
    const { fields, isTooLarge, sizeBytes, requestFault } = decode();
    return { fields: fields.map(({ name, value }) => [name, value]), isTooLarge, sizeBytes, requestFault };
  } catch (error) {
    if (!(error instanceof ConnectionError)) throw error;
    return error.reason;
  }
}

/** The table's entries, newest first. */
function tableOf(hpack: HpackDecoder): string[] {
  const entries: string[] = [];
  for (let index = 62; ; index++) {
    const block = integer(index, 0x7f, 0x80);
    try {
      const [field] = hpack.decode(block, 0, block.length).fields;
      entries.push(`${field?.name}: ${field?.value.length}`);
    } catch {
      return entries;
    }
  }
}

/** Huffman-coded text of one symbol with a code of whole bytes: `&` is 11111000. */
const ampersands = (count: number) => Buffer.concat([integer(count, 0x7f, 0x80), Buffer.alloc(count, 0xf8)]);

const name = fc.stringMatching(/^[a-z]{1,12}$/);
const plain = fc
  .tuple(name, fc.integer({ min: 0, max: 3000 }), fc.constantFrom(0x00, 0x10, 0x40))
  .map(([text, length, first]) => literal(text, "v".repeat(length), first));
const huffman = fc
  .tuple(name, fc.integer({ min: 0, max: 3000 }), fc.constantFrom(0x00, 0x40))
  .map(([text, length, first]) => Buffer.concat([literal(text, "", first).subarray(0, -1), ampersands(length)]));
const indexed = fc.integer({ min: 0, max: 70 }).map((index) => integer(index, 0x7f, 0x80));
const resize = fc.integer({ min: 0, max: 4200 }).map((bytes) => integer(bytes, 0x1f, 0x20));
const garbage = fc.uint8Array({ maxLength: 12 }).map((bytes) => Buffer.from(bytes));
const valid = fc.oneof(
  plain,
  huffman,
  fc.integer({ min: 1, max: 61 }).map((index) => integer(index, 0x7f, 0x80)),
);
const blocks = fc
  .array(fc.oneof({ weight: 12, arbitrary: valid }, indexed, resize, { weight: 1, arbitrary: garbage }), {
    maxLength: 12,
  })
  .map((parts) => Buffer.concat(parts));

test("a block in pieces of any length gives the list, the table and the errors of the whole block", () => {
  fc.assert(
    fc.property(
      fc.array(blocks, { minLength: 1, maxLength: 4 }),
      fc.integer({ min: 1, max: 5000 }),
      (all, pieceBytes) => {
        const limits = { maxHeaderListBytes: 4096 };
        const [whole, pieces] = [decoder(limits), decoder(limits)];
        for (const block of all) {
          const expected = outcome(() => whole.decode(block, 0, block.length));
          expect(outcome(() => inPieces(pieces, block, pieceBytes))).toEqual(expected);
          if (typeof expected === "string") return;
        }
        expect(tableOf(pieces)).toEqual(tableOf(whole));
      },
    ),
    bounded(300),
  );
});

describe("strings that fit neither the list nor the table", () => {
  test.each([
    ["a value", Buffer.concat([literal("big", "", 0x40).subarray(0, -1), integer(8e6, 0x7f), Buffer.alloc(8e6, 0x61)])],
    ["a Huffman-coded value", Buffer.concat([literal("big", "", 0x40).subarray(0, -1), ampersands(8e6)])],
    [
      "a name",
      Buffer.concat([Buffer.of(0x40), integer(8e6, 0x7f), Buffer.alloc(8e6, 0x61), integer(1, 0x7f), Buffer.of(0x62)]),
    ],
  ])("%s of 8 MB is counted and not kept, and empties the table", (_name, field) => {
    const hpack = decoder();
    const first = literal("a", "1", 0x40);
    hpack.decode(first, 0, first.length);
    const before = usedBytes();
    const fragments = hpack.begin();
    for (let at = 0; at < field.length; at += 16_384) fragments.add(field, at, Math.min(field.length, at + 16_384));
    expect(usedBytes() - before).toBeLessThan(2 * 1024 * 1024);
    const behind = literal("b", "2", 0x40);
    fragments.add(behind, 0, behind.length);
    const list = fragments.finish();
    expect(list.isTooLarge).toBe(true);
    expect(list.sizeBytes).toBeGreaterThan(8e6);
    expect(list.sizeBytes).toBeLessThan(8e6 + 200);
    expect(tableOf(hpack)).toEqual(["b: 1"]);
  });

  test("an invalid Huffman code in a string that is not kept ends the connection", () => {
    const field = Buffer.concat([literal("big", "", 0x00).subarray(0, -1), ampersands(4e6)]);
    field.fill(0xff, field.length - 4);
    expect(outcome(() => inPieces(decoder(), field, 16_384))).toBe("invalid_hpack");
  });
});

test("a block in single bytes costs the same work for each byte, however long it is", () => {
  // 32,000 fields in pieces of one byte: a decoder that starts again with each piece would take too long.
  const block = Buffer.concat(Array<Buffer>(32_000).fill(literal("a", "")));
  expect(inPieces(decoder(), block, 1).sizeBytes).toBe(32_000 * 33);
});

test("a block of more than 32,768 fields is an HPACK bomb, however it is cut", () => {
  const block = Buffer.concat(Array<Buffer>(32_769).fill(literal("a", "")));
  expect(outcome(() => inPieces(decoder(), block, 16_384))).toBe("hpack_bomb");
  expect(outcome(() => decoder().decode(block, 0, block.length))).toBe("hpack_bomb");
});
