import { expect, test } from "vitest";
import { createDecoder } from "../../../src/bodies/coding/decoder.ts";
import { decodeBody } from "../../../src/bodies/coding/whole-body.ts";
import { bounded, fc } from "../../property/seed.ts";
import { cutAt, encoded, STACKS, sampleText, streamed } from "./coded.ts";

const LIMITS = { maxBytes: 1 << 20 };
/** A decoder with a large window may also have to wait for too long for the rest after the one before. */
const STREAM_CODES = ["busy", "too_large", "ratio", "corrupt", "truncated", "trailing_data"];
const CODES = ["too_large", "ratio", "corrupt", "truncated", "trailing_data"];

test.each(STACKS.map((codings) => [codings.join(", "), codings] as const))(
  "any bytes in %s end as bytes or a code",
  async (_, codings) => {
    const good = await encoded(sampleText(2000), codings);
    /** Random bytes, and valid bodies with a few bytes changed, removed or inserted. */
    const bytesArbitrary = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc
        .tuple(fc.nat({ max: good.length }), fc.nat({ max: 3 }), fc.uint8Array({ maxLength: 4 }))
        .map(([at, out, put]) => {
          return Buffer.concat([good.subarray(0, at), put, good.subarray(at + out)]);
        }),
    );
    await fc.assert(
      fc.asyncProperty(
        bytesArbitrary,
        fc.array(fc.integer({ min: 1, max: 100 }), { minLength: 1, maxLength: 3 }),
        async (bytes, sizes) => {
          const whole = await decodeBody(bytes, codings, LIMITS);
          const { bytes: pieces, failure } = await streamed(createDecoder(codings, LIMITS), cutAt(bytes, sizes));
          if (whole.kind === "failed") {
            expect(CODES).toContain(whole.code);
            expect(STREAM_CODES).toContain(failure?.code);
          } else if (failure?.code === "busy") {
            expect(codings).toContain("br");
          } else {
            expect(failure).toBeUndefined();
            expect(pieces.equals(whole.bytes)).toBe(true);
          }
        },
      ),
      { ...bounded(1500), interruptAfterTimeLimit: 2500 },
    );
  },
);
