import { describe, expect, test } from "vitest";
import { parseContentEncoding, supportedCodings } from "../../../src/bodies/coding/content-encoding.ts";
import { isSuperLinear } from "../../property/growth.ts";
import { bounded, fc } from "../../property/seed.ts";

describe("parseContentEncoding", () => {
  test.each([
    [undefined, []],
    ["", []],
    ["identity", []],
    ["gzip", ["gzip"]],
    [" GZip\t", ["gzip"]],
    ["x-gzip", ["gzip"]],
    ["deflate, identity,, br", ["deflate", "br"]],
    [
      ["gzip", "br , deflate"],
      ["gzip", "br", "deflate"],
    ],
    [[], []],
  ])("parseContentEncoding reads %j", (value, codings) => {
    expect(parseContentEncoding(value)).toEqual({ kind: "codings", codings });
  });

  test.each([
    ["aws-chunked", "aws-chunked"],
    ["gzip, compress", "compress"],
    ["constructor", "constructor"],
    ["__proto__", "__proto__"],
    ["gzip;q=1", ""],
    ["gzip br", ""],
    ["x".repeat(33), ""],
    ["g\u00a0zip", ""],
  ])("parseContentEncoding does not accept %j", (value, coding) => {
    expect(parseContentEncoding(value)).toEqual({ kind: "unsupported", coding });
  });

  test("parseContentEncoding takes zstd if Node has it", () => {
    const kind = supportedCodings().includes("zstd") ? "codings" : "unsupported";
    expect(parseContentEncoding("zstd").kind).toBe(kind);
  });

  test("parseContentEncoding takes four codings and refuses a fifth", () => {
    expect(parseContentEncoding("gzip,gzip,gzip,identity,gzip")).toMatchObject({ codings: { length: 4 } });
    expect(parseContentEncoding("gzip,gzip,gzip,gzip,gzip")).toEqual({ kind: "too_many" });
  });

  test.each([
    ["blanks in the middle", (count: number) => `a${" ".repeat(count)}b`],
    ["tabs in front of a name", (count: number) => `${"\t".repeat(count)}gzip`],
    ["commas", (count: number) => ",".repeat(count)],
    ["one long name", (count: number) => "x".repeat(count)],
  ])("parseContentEncoding takes time in proportion to the length: %s", (_name, value) => {
    const work = (count: number) => {
      const text = value(count);
      return () => void parseContentEncoding(text);
    };
    expect(isSuperLinear(work)).toBe(false);
  });

  test("parseContentEncoding never throws", () => {
    fc.assert(
      fc.property(fc.string(), (value) => {
        expect(["codings", "unsupported", "too_many"]).toContain(parseContentEncoding(value).kind);
      }),
      bounded(500),
    );
  });
});
