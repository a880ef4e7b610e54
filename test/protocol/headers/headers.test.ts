import { create } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { HeaderValueSchema } from "../../../gen/envoy/config/core/v3/base_pb.js";
import { HttpHeadersSchema, HttpTrailersSchema } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { FaultError } from "../../../src/protocol/fault.ts";
import {
  allHeaders,
  header,
  headerBytes,
  headerEntries,
  joinedText,
  oneHeader,
} from "../../../src/protocol/headers/headers.ts";
import { bytes, type HeaderPairs, headerEntry, httpHeaders, httpTrailers } from "../messages.ts";

const entries = (pairs: HeaderPairs) => pairs.map(([name, value]) => headerEntry(name, value));

describe("header()", () => {
  test("header() reads headers and trailers", () => {
    expect(header(httpHeaders([["x-user", "ada"]]), "x-user")).toBe("ada");
    expect(header(httpTrailers([["grpc-status", "0"]]), "grpc-status")).toBe("0");
  });

  test("header() reads a message without a header map as one without headers", () => {
    expect(header(create(HttpHeadersSchema), "x-user")).toBeUndefined();
    expect(header(create(HttpTrailersSchema), "x-user")).toBeUndefined();
    expect(headerEntries(create(HttpHeadersSchema))).toEqual([]);
  });

  test("header() finds pseudo-headers like any other", () => {
    expect(header(httpHeaders([[":path", "/a?b"]]), ":path")).toBe("/a?b");
  });

  test("header() distinguishes an empty header from an absent one", () => {
    const message = httpHeaders([["x-empty", ""]]);
    expect(header(message, "x-empty")).toBe("");
    expect(header(message, "x-absent")).toBeUndefined();
  });
});

describe("names of headers", () => {
  test.each([
    ["x-user", "X-User"],
    ["X-User", "x-user"],
    ["X-USER", "x-UsEr"],
  ])("header entry %s is found as %s", (key, asked) => {
    const list = entries([[key, "ada"]]);
    expect(joinedText(list, asked)).toBe("ada");
    expect(allHeaders(list, asked)).toEqual(["ada"]);
    expect(oneHeader(list, asked)).toBe("ada");
    expect(headerBytes(list, asked)).toEqual(bytes("ada"));
  });

  test("a longer or shorter name is another header", () => {
    const list = entries([["x-user-id", "7"]]);
    expect(joinedText(list, "x-user")).toBeUndefined();
    expect(joinedText(list, "x-user-id-2")).toBeUndefined();
  });

  test("names of object members are not found as headers", () => {
    for (const name of ["__proto__", "constructor", "toString"]) {
      expect(joinedText([], name)).toBeUndefined();
      expect(headerBytes([], name)).toBeUndefined();
    }
  });
});

describe("several values of a header", () => {
  test("several values of a header are joined with a comma and a blank, in order, across cases of the name", () => {
    const list = entries([
      ["accept", "text/html"],
      ["x-other", "-"],
      ["Accept", "text/plain"],
      ["accept", "*/*"],
    ]);
    expect(joinedText(list, "accept")).toBe("text/html, text/plain, */*");
  });

  test("several values of cookie are joined with a semicolon", () => {
    const list = entries([
      ["cookie", "a=1"],
      ["cookie", "b=2"],
    ]);
    expect(joinedText(list, "Cookie")).toBe("a=1; b=2");
  });

  test("several values of set-cookie are never joined, and the first is given", () => {
    const list = entries([
      ["set-cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT"],
      ["Set-Cookie", "b=2"],
    ]);
    expect(joinedText(list, "SET-COOKIE")).toBe("a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT");
    expect(allHeaders(list, "set-cookie")).toEqual(["a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT", "b=2"]);
  });

  test("several values of a header keep empty ones when joined", () => {
    const list = entries([
      ["x-a", ""],
      ["x-a", "1"],
      ["x-a", ""],
    ]);
    expect(joinedText(list, "x-a")).toBe(", 1, ");
    expect(allHeaders(list, "x-a")).toEqual(["", "1", ""]);
  });

  test("allHeaders() gives all values, and does not split them at commas", () => {
    const list = entries([
      ["x-a", "1, 2"],
      ["x-a", "3"],
    ]);
    expect(allHeaders(list, "x-a")).toEqual(["1, 2", "3"]);
    expect(allHeaders(list, "x-b")).toEqual([]);
  });

  test("the first bytes of several values are given", () => {
    const list = entries([
      ["x-a", Uint8Array.of(0xff, 0x00)],
      ["x-a", "second"],
    ]);
    expect(headerBytes(list, "x-a")).toEqual(Uint8Array.of(0xff, 0x00));
  });
});

describe("oneHeader()", () => {
  test("oneHeader() gives the only value, and undefined if there is none", () => {
    expect(oneHeader(entries([["authorization", "Bearer x"]]), "Authorization")).toBe("Bearer x");
    expect(oneHeader([], "authorization")).toBeUndefined();
  });

  test("oneHeader() faults on duplicates, even equal ones and across cases of the name", () => {
    const list = entries([
      ["authorization", "same-secret"],
      ["Authorization", "same-secret"],
    ]);
    const error = thrownBy(() => oneHeader(list, "AUTHORIZATION"));
    expect(FaultError.is(error)).toBe(true);
    expect(error).toMatchObject({ code: "header_ambiguous", message: 'header "authorization" came more than once' });
  });

  test("oneHeader() takes a comma inside one value for one value", () => {
    expect(oneHeader(entries([["x-a", "1, 2"]]), "x-a")).toBe("1, 2");
  });
});

describe("raw_value and value", () => {
  const entry = (value: string, rawValue: Uint8Array) => create(HeaderValueSchema, { key: "x-a", value, rawValue });

  test("raw_value wins if both fields are set", () => {
    const list = [entry("from value", bytes("from raw_value"))];
    expect(joinedText(list, "x-a")).toBe("from raw_value");
    expect(oneHeader(list, "x-a")).toBe("from raw_value");
    expect(allHeaders(list, "x-a")).toEqual(["from raw_value"]);
    expect(headerBytes(list, "x-a")).toEqual(bytes("from raw_value"));
  });

  test("value counts if raw_value is empty, as old Envoys and other hosts write it", () => {
    const list = [entry("grüße", new Uint8Array())];
    expect(joinedText(list, "x-a")).toBe("grüße");
    expect(headerBytes(list, "x-a")).toEqual(bytes("grüße"));
  });
});

function thrownBy(act: () => unknown): unknown {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
}
