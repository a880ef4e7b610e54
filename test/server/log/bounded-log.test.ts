import { describe, expect, test } from "vitest";
import { boundedLog } from "../../../src/server/log/bounded-log.ts";
import { createLogger } from "../../../src/server/log/log.ts";
import { bounded, fc } from "../../property/seed.ts";

/** 8 KiB, and the length of level and time. */
const MAX_LINE_BYTES = 3 * 8_192 + 200;

function lineOf(fields: object, message = "Something happened"): string {
  let line = "";
  const logger = createLogger("info", {
    write(text: string) {
      line += text;
    },
  });
  boundedLog(logger).warn(fields, message);
  return line;
}

describe("a log line", () => {
  test.each([
    ["a long text", { method: "M".repeat(50_000) }],
    ["control characters", { path: "\u0000".repeat(50_000) }],
    ["a long list of names", { answers: { set: Array.from({ length: 50_000 }, (_, at) => `x-${at}`) } }],
    ["many long texts", { set: Array<string>(5_000).fill("x".repeat(1_000)) }],
    ["many fields", { attributes: Object.fromEntries(Array.from({ length: 50_000 }, (_, at) => [`a${at}`, at])) }],
    ["long field names", { ["x".repeat(50_000)]: 1 }],
    ["deep nesting", { value: JSON.parse(`${'{"a":['.repeat(1_000)}1${"]}".repeat(1_000)}`) as unknown }],
  ])("a log line with %s has at most 8 KiB and keeps its message", (_name, fields) => {
    const line = lineOf(fields);
    expect(line.length).toBeLessThan(8_192 + 200);
    expect(JSON.parse(line)).toMatchObject({ level: "warn", msg: "Something happened" });
  });

  test("a log line with a long message is cut", () => {
    expect(JSON.parse(lineOf({}, "m".repeat(50_000))).msg).toBe(`${"m".repeat(1_024)}…`);
  });

  test("a short log line stays unchanged", () => {
    const fields = {
      origin: "envoy",
      durationMs: 1.5,
      answers: { requestHeaders: { set: ["x-a"], body: "replaced" } },
    };
    expect(JSON.parse(lineOf(fields))).toMatchObject(fields);
  });

  test("a log line of any fields has a bounded length and is JSON", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary", maxLength: 100 }),
      fc.nat(20_000).map((length) => "\u0007".repeat(length)),
    );
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        { maxDepth: 5 },
        text,
        fc.double(),
        fc.boolean(),
        fc.array(tie("node"), { maxLength: 30 }),
        fc.dictionary(text, tie("node"), { maxKeys: 10 }),
      ),
    })).node;
    fc.assert(
      fc.property(fc.dictionary(text, value, { maxKeys: 10 }), text, (fields, message) => {
        const line = lineOf(fields, message);
        expect(Buffer.byteLength(line)).toBeLessThan(MAX_LINE_BYTES);
        expect(() => JSON.parse(line) as unknown).not.toThrow();
      }),
      bounded(200),
    );
  });
});
