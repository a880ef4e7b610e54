import { describe, expect, test } from "vitest";
import { type Coding, supportedCodings } from "../../../src/bodies/coding/content-encoding.ts";
import { createDecoder } from "../../../src/bodies/coding/decoder.ts";
import { createEncoder } from "../../../src/bodies/coding/encoder.ts";
import { decodeBody, encodeBody } from "../../../src/bodies/coding/whole-body.ts";
import { cutAt, encoded, encodedByNode, STACKS, sampleText, streamed } from "./coded.ts";

const LIMITS = { maxBytes: 64 << 20 };
const sizes = [0, 1, 100, 64 << 10, (64 << 10) + 1, 1 << 20];
const join = (...parts: Uint8Array[]) => Buffer.concat(parts);
const garbage = Buffer.from("<!-- more -->");

async function whole(bytes: Uint8Array, codings: readonly Coding[]): Promise<unknown> {
  const result = await decodeBody(bytes, codings, LIMITS);
  return result.kind === "failed" ? result : Buffer.from(result.bytes);
}

/** The result of decoding in one piece, in chunks, and byte by byte. The test fails if the results differ. */
async function anyway(bytes: Uint8Array, codings: readonly Coding[]): Promise<unknown> {
  const all = await whole(bytes, codings);
  for (const chunkSizes of [[], [7], [1]]) {
    const { bytes: pieces, failure } = await streamed(createDecoder(codings, LIMITS), cutAt(bytes, chunkSizes));
    expect(failure ?? pieces).toEqual(all);
  }
  return all;
}

describe.each(STACKS.map((codings) => [codings.join(", "), codings] as const))("a body in %s", (_, codings) => {
  const coding = codings.at(-1) ?? "gzip";

  test.each(sizes)("a body of %i bytes is decoded to its original", async (size) => {
    const text = sampleText(size);
    const body = await encoded(text, codings);
    expect(((await whole(body, codings)) as Buffer).equals(text)).toBe(true);
    for (const chunkSizes of [[body.length], [16 << 10], [30_000, 1, 3333]]) {
      const { bytes, failure } = await streamed(createDecoder(codings, LIMITS), cutAt(body, chunkSizes));
      expect(failure).toBeUndefined();
      expect(bytes.equals(text)).toBe(true);
    }
  });

  test("a body that ends too early is truncated", async () => {
    const body = await encoded(sampleText(500), codings);
    for (const missing of [1, 2, 5, Math.floor(body.length / 2)]) {
      expect(await anyway(body.subarray(0, -missing), codings)).toMatchObject({ kind: "failed", code: "truncated" });
    }
  });

  test("a body with bytes behind its end is refused", async () => {
    const body = await encoded(sampleText(500), codings);
    for (const tail of [garbage, Buffer.alloc(1), Buffer.alloc(9)]) {
      expect(await anyway(join(body, tail), codings)).toMatchObject({
        code: expect.stringMatching(/^trailing_data|truncated$/),
        coding,
      });
    }
  });

  test("a body in another format is corrupt", async () => {
    expect(await anyway(Buffer.from("\x07 hello, this is plain text"), codings)).toEqual({
      kind: "failed",
      code: "corrupt",
      coding,
    });
  });

  test("a body without bytes decodes to no bytes", async () => {
    expect(await anyway(new Uint8Array(0), codings)).toEqual(Buffer.alloc(0));
  });
});

test("gzip members one after the other are one body", async () => {
  const body = join(
    encodedByNode(Buffer.from("a, "), "gzip"),
    encodedByNode(Buffer.from(""), "gzip"),
    encodedByNode(Buffer.from("b"), "gzip"),
  );
  expect(await anyway(body, ["gzip"])).toEqual(Buffer.from("a, b"));
});

test("deflate is read with zlib's header and without", async () => {
  for (const text of [Buffer.from(""), Buffer.from("x"), sampleText(10_000)]) {
    for (const format of ["deflate", "deflate-raw"] as const) {
      expect(await anyway(encodedByNode(text, format), ["deflate"])).toEqual(Buffer.from(text));
    }
  }
});

describe.runIf(supportedCodings().includes("zstd"))("zstd", () => {
  test("zstd frames one after the other are one body, and skippable frames are skipped", async () => {
    const [a, b] = [await encoded(Buffer.from("a, "), ["zstd"]), await encoded(sampleText(300_000), ["zstd"])];
    const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);
    const text = join(Buffer.from("a, "), sampleText(300_000));
    expect(((await whole(join(a, b), ["zstd"])) as Buffer).equals(text)).toBe(true);
    for (const body of [join(skippable, a, skippable, b, skippable)]) {
      for (const chunkSizes of [[], [13], [5, 1, 1, 30_000]]) {
        const { bytes, failure } = await streamed(createDecoder(["zstd"], LIMITS), cutAt(body, chunkSizes));
        expect(failure).toBeUndefined();
        expect(bytes.equals(text)).toBe(true);
      }
    }
  });
});

test.skipIf(supportedCodings().includes("zstd"))(
  "a coding that this Node lacks is a failure, not a throw",
  async () => {
    const failure = { kind: "failed", code: "unsupported_coding", coding: "zstd" };
    const body = Buffer.from("KLUv/QQAGQAAYWJjkQBxIQ==", "base64");
    expect(await anyway(body, ["zstd"])).toEqual(failure);
    expect(await encodeBody(body, ["zstd"])).toEqual(failure);
    expect((await streamed(createEncoder(["zstd"]), [body])).failure).toEqual(failure);
  },
);
