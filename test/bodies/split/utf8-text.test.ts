import { describe, expect, test } from "vitest";
import { SplitError } from "../../../src/bodies/split/splitter.ts";
import { createUtf8Decoder, utf8Text } from "../../../src/bodies/split/utf8-text.ts";
import { bounded, fc } from "../../property/seed.ts";
import { cutInto, cuts, feedAll, utf8 } from "./splitting.ts";

const bytesOfAnyKind = fc.oneof(
  fc.string({ unit: "grapheme" }).map(utf8),
  fc.uint8Array({ maxLength: 20 }),
  fc
    .array(fc.constantFrom(0x41, 0x80, 0xbf, 0xc3, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0xed, 0xa0, 0xef, 0xbb), {
      maxLength: 20,
    })
    .map((list) => Uint8Array.from(list)),
);

describe("createUtf8Decoder", () => {
  test("createUtf8Decoder waits for the rest of a character", () => {
    const decoder = createUtf8Decoder();
    const bytes = utf8("a€");
    expect(decoder.push(bytes.subarray(0, 3))).toBe("a");
    expect(decoder.push(bytes.subarray(3))).toBe("€");
    expect(decoder.end()).toBe("");
  });

  test.each(["replace", "fail"] as const)(
    "createUtf8Decoder gives the same text cut anywhere as for the whole, if invalid is %s",
    (invalid) => {
      fc.assert(
        fc.property(
          bytesOfAnyKind,
          cuts,
          fc.constantFrom("drop" as const, "keep" as const),
          (bytes, sizes, byteOrderMark) => {
            const whole = new TextDecoder("utf-8", { fatal: invalid === "fail", ignoreBOM: byteOrderMark === "keep" });
            const { outputs, failure } = feedAll(createUtf8Decoder({ invalid, byteOrderMark }), cutInto(bytes, sizes));
            let text: string | undefined;
            try {
              text = whole.decode(bytes);
            } catch {
              expect(failure).toBe("invalid_utf8");
            }
            if (text !== undefined) {
              expect(failure).toBeUndefined();
              expect(outputs.join("")).toBe(text);
            }
          },
        ),
        bounded(1000),
      );
    },
  );

  test("createUtf8Decoder gives back the bytes that it does not take", () => {
    fc.assert(
      fc.property(bytesOfAnyKind, cuts, (bytes, sizes) => {
        const { outputs, rest } = feedAll(
          createUtf8Decoder({ invalid: "fail", byteOrderMark: "keep" }),
          cutInto(bytes, sizes),
        );
        expect(Buffer.concat([utf8(outputs.join("")), rest]).equals(bytes)).toBe(true);
      }),
      bounded(1000),
    );
  });

  test("createUtf8Decoder can be iterated, and throws if it fails", async () => {
    const chunks = [utf8("ab"), Uint8Array.of(0xc3), Uint8Array.of(0xff)];
    const seen: string[] = [];
    const reading = (async () => {
      for await (const text of utf8Text(chunks, { invalid: "fail" })) seen.push(text);
    })();
    await expect(reading).rejects.toThrow(SplitError);
    expect(seen).toEqual(["ab"]);
  });
});
