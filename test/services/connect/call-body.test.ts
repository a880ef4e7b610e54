import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DebugService } from "../../../gen/extproc/debug/v1/debug_pb.js";
import { elementCheck, readBody, wholeMessages } from "../../../src/services/connect/call-body.ts";
import { EnvelopeJoiner } from "../../../src/services/connect/envelope-joiner.ts";
import { GrowingBytes } from "../../../src/services/connect/growing-bytes.ts";
import { hasMoreElements } from "../../../src/text/json-elements.ts";
import { TooManyParts } from "../../../src/wire/message-limits.ts";

const BOUNDS = { maxBytes: 100, timeoutMs: 60_000 };

function envelope(message: Uint8Array, flag = 0): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(message.length, 1);
  return Buffer.concat([head, message]);
}

/** Cuts bytes into pieces of these lengths, the last of which repeats. */
function* pieces(bytes: Buffer, lengths: readonly number[]): Generator<Buffer> {
  let at = 0;
  for (let piece = 0; at < bytes.length; piece++) {
    const length = lengths[Math.min(piece, lengths.length - 1)] as number;
    yield bytes.subarray(at, at + length);
    at += length;
  }
}

async function* streamOf(chunks: Iterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield* chunks;
}

/** Yields some bytes, and then never anything. */
async function* stalledBehind(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
  await new Promise(() => undefined);
}

describe("EnvelopeJoiner", () => {
  test("EnvelopeJoiner returns each envelope in one piece, wherever the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }),
        fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 }),
        (messages, lengths) => {
          const envelopes = messages.map((message, at) => envelope(message, at));
          const joiner = new EnvelopeJoiner();
          const given = [...pieces(Buffer.concat(envelopes), lengths)].flatMap((piece) => [...joiner.push(piece)]);
          expect(given.map((each) => Buffer.from(each).toString("hex"))).toEqual(
            envelopes.map((each) => each.toString("hex")),
          );
          expect(joiner.heldBytes).toBe(0);
        },
      ),
    );
  });

  test("EnvelopeJoiner returns the announced length and the bytes of an incomplete envelope", () => {
    const joiner = new EnvelopeJoiner();
    const told = [...pieces(envelope(Buffer.alloc(300)).subarray(0, 8), [1])].map((byte) => {
      expect([...joiner.push(byte)]).toEqual([]);
      return [joiner.heldBytes, joiner.announcedBytes];
    });
    expect(told).toEqual([1, 2, 3, 4, 5, 6, 7, 8].map((held) => [held, held < 5 ? undefined : 300]));
    expect(joiner.rest()).toHaveLength(8);
  });
});

test("GrowingBytes joins pieces, and starts empty after its bytes are taken", () => {
  fc.assert(
    fc.property(fc.array(fc.array(fc.uint8Array({ maxLength: 700 }), { maxLength: 5 }), { maxLength: 3 }), (rounds) => {
      const growing = new GrowingBytes();
      for (const parts of rounds) {
        for (const part of parts) growing.push(part);
        const bytes = Buffer.concat(parts);
        expect(growing.length).toBe(bytes.length);
        const { head } = growing;
        expect(head.length).toBeGreaterThanOrEqual(Math.min(5, bytes.length));
        expect(bytes.subarray(0, head.length).equals(head)).toBe(true);
        expect(Buffer.concat(parts).equals(growing.take())).toBe(true);
        expect(growing.length).toBe(0);
      }
    }),
  );
});

describe("readBody", () => {
  test("readBody returns all bytes of a body in one piece", async () => {
    const body = await readBody(streamOf([Buffer.from("ab"), Buffer.from("cde")]), BOUNDS);
    expect(Buffer.from(body).toString()).toBe("abcde");
  });

  test.each<[string, AsyncGenerator<Uint8Array>, object, number]>([
    ["is too large", streamOf([Buffer.alloc(60), Buffer.alloc(41)]), {}, 8],
    ["comes too slowly", stalledBehind(Buffer.alloc(10)), { timeoutMs: 20 }, 4],
  ])("readBody rejects a body that %s", async (_name, body, bounds, code) => {
    await expect(readBody(body, { ...BOUNDS, ...bounds })).rejects.toMatchObject({ code });
  });
});

describe("wholeMessages", () => {
  const unchecked = () => undefined;

  async function all(messages: AsyncIterable<Uint8Array>): Promise<string[]> {
    const given: string[] = [];
    for await (const message of messages) given.push(Buffer.from(message).toString("hex"));
    return given;
  }

  test("wholeMessages returns whole envelopes wherever the bytes are cut, and checks each message first", async () => {
    const envelopes = ["a", "", "bcd"].map((text) => envelope(Buffer.from(text)));
    const seen: string[] = [];
    const check = (message: Uint8Array) => void seen.push(Buffer.from(message).toString());
    const body = streamOf(pieces(Buffer.concat(envelopes), [1]));
    expect(await all(wholeMessages(body, check, 100))).toEqual(envelopes.map((each) => each.toString("hex")));
    expect(seen).toEqual(["a", "", "bcd"]);
  });

  test("wholeMessages returns the received part of a message without an end", async () => {
    const half = envelope(Buffer.alloc(9)).subarray(0, 8);
    expect(await all(wholeMessages(streamOf([half]), unchecked, 100))).toEqual([half.toString("hex")]);
  });

  test("wholeMessages fails as soon as a message announces too many bytes", async () => {
    const body = stalledBehind(Buffer.from("0000000065", "hex"));
    await expect(all(wholeMessages(body, unchecked, 100))).rejects.toMatchObject({ code: 8 });
  });
});

describe("hasMoreElements", () => {
  /** The number of elements by its definition: containers, items and names. */
  function elementsOf(value: unknown): number {
    if (typeof value !== "object" || value === null) return 0;
    const items = Object.values(value);
    const separators = Math.max(0, items.length - 1);
    const names = Array.isArray(value) ? 0 : items.length;
    return items.reduce<number>((sum, item) => sum + elementsOf(item), 1 + separators + names);
  }

  test("hasMoreElements counts the same elements as JSON.parse, whatever is in the strings", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.integer({ min: 0, max: 2 }), (value, indent) => {
        const json = Buffer.from(JSON.stringify(value, undefined, indent));
        // JSON has no other form of -0.
        const count = elementsOf(JSON.parse(json.toString()));
        expect(hasMoreElements(json, count)).toBe(false);
        if (count > 0) expect(hasMoreElements(json, count - 1)).toBe(true);
      }),
    );
  });

  test.each(['"a\\', '"', '"\\"', "[,,,{:"])("hasMoreElements returns for text that is not JSON: %s", (text) => {
    expect(hasMoreElements(Buffer.from(text), 100)).toBe(false);
  });
});

describe("elementCheck", () => {
  const method = DebugService.method.process;

  test.each([
    "application/json",
    "application/json; charset=utf-8",
    "application/connect+json",
    "application/grpc+json",
  ])("elementCheck counts elements of JSON in %s", (type) => {
    expect(() => elementCheck(method, type, { maxFields: 0, maxJsonElements: 3 })(Buffer.from("[1,2,3,4,5]"))).toThrow(
      TooManyParts,
    );
    elementCheck(method, type, { maxFields: 0, maxJsonElements: 5 })(Buffer.from("[1,2,3,4,5]"));
  });

  test.each(["application/proto", "application/grpc", "application/grpc-web+proto", "application/connect+proto"])(
    "elementCheck counts fields of messages in %s, and leaves bytes that are not a message to Connect",
    (type) => {
      const empty = Buffer.from("0a00".repeat(5), "hex");
      expect(() => elementCheck(method, type, { maxFields: 4, maxJsonElements: 0 })(empty)).toThrow(TooManyParts);
      elementCheck(method, type, { maxFields: 5, maxJsonElements: 0 })(empty);
      elementCheck(method, type, { maxFields: 1, maxJsonElements: 0 })(Buffer.from("0aff0aff0aff", "hex"));
    },
  );
});
