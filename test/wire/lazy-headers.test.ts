import { clearField, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { type HeaderMap, HeaderMapSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import {
  type HttpHeaders,
  HttpHeadersSchema,
  type HttpTrailers,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { header, headerEntries, headerFields } from "../../src/protocol/headers/headers.ts";
import { WorkingHead } from "../../src/protocol/headers/working-head.ts";
import { decodeRequest } from "../../src/wire/decode-request.ts";
import { HeaderIndex } from "../../src/wire/header-index.ts";
import { headerCount } from "../../src/wire/lazy-headers.ts";
import { headersOf, httpHeaders, trailersOf } from "../protocol/messages.ts";

const PAIRS = [
  [":path", "/a"],
  ["x-user", "jo"],
] as const;

function received(pairs: readonly (readonly [string, string])[] = PAIRS): HttpHeaders {
  const { request } = decodeRequest(toBinary(ProcessingRequestSchema, headersOf("requestHeaders", pairs)));
  if (request.case !== "requestHeaders") throw new Error("is not requestHeaders");
  return request.value;
}

function receivedTrailers(): HttpTrailers {
  const { request } = decodeRequest(toBinary(ProcessingRequestSchema, trailersOf("requestTrailers", PAIRS)));
  if (request.case !== "requestTrailers") throw new Error("is not requestTrailers");
  return request.value;
}

/** True while the headers themselves were not read. */
function isOnDemand(message: HttpHeaders | HttpTrailers): boolean {
  return headerFields(message) instanceof HeaderIndex;
}

function mapOf(message: HttpHeaders): HeaderMap {
  if (message.headers === undefined) throw new Error("has no headers");
  return message.headers;
}

describe("headers on demand", () => {
  test("headers on demand answer header() without being made", () => {
    const [message, trailers] = [received(), receivedTrailers()];
    expect([header(message, "X-User"), header(trailers, "x-user")]).toEqual(["jo", "jo"]);
    expect([isOnDemand(message), isOnDemand(trailers)]).toEqual([true, true]);
  });

  test("headers on demand are counted without being made, and counted correctly once they were made, changed or removed", () => {
    const message = received();
    expect([headerCount(message), isOnDemand(message)]).toEqual([2, true]);
    mapOf(message).headers.pop();
    expect([headerCount(message), isOnDemand(message)]).toEqual([1, false]);
    message.headers = undefined;
    expect(headerCount(message)).toBe(0);
  });

  test("headers on demand are made once, and are an ordinary property from then on", () => {
    const message = received();
    const { headers } = message;
    expect(message.headers).toBe(headers);
    expect(Object.getOwnPropertyDescriptor(message, "headers")).toEqual({
      value: headers,
      writable: true,
      enumerable: true,
      configurable: true,
    });
    expect(message).toStrictEqual(httpHeaders(PAIRS));
  });

  test("header() reads headers that were made, with their changes", () => {
    const message = received();
    mapOf(message).headers.pop();
    expect([header(message, "x-user"), isOnDemand(message)]).toEqual([undefined, false]);
  });

  test("header() reads headers that were replaced, removed or defined again", () => {
    const [replaced, deleted, cleared, defined] = [received(), received(), received(), received()];
    replaced.headers = mapOf(httpHeaders([["x-user", "al"]]));
    expect(header(replaced, "x-user")).toBe("al");
    delete deleted.headers;
    clearField(cleared, HttpHeadersSchema.field.headers);
    expect([header(deleted, "x-user"), header(cleared, "x-user"), "headers" in cleared]).toEqual([
      undefined,
      undefined,
      false,
    ]);
    deleted.headers = mapOf(httpHeaders([["x-user", "bo"]]));
    expect(header(deleted, "x-user")).toBe("bo");
    Object.defineProperty(defined, "headers", { value: mapOf(httpHeaders([["x-user", "cy"]])) });
    expect(header(defined, "x-user")).toBe("cy");
  });

  test("headers on demand of trailers are made and replaced in the same way", () => {
    const [made, replaced] = [receivedTrailers(), receivedTrailers()];
    expect(made.trailers?.headers.map(({ key }) => key)).toEqual([":path", "x-user"]);
    replaced.trailers = mapOf(httpHeaders([["x-user", "al"]]));
    expect(headerEntries(replaced)).toHaveLength(1);
  });

  test("headers on demand of a copy are ordinary headers", () => {
    const copy = { ...received() };
    expect([isOnDemand(copy), header(copy, "x-user")]).toEqual([false, "jo"]);
  });

  test.each([Object.preventExtensions, Object.seal, Object.freeze])("headers on demand survive %o", (restrict) => {
    const message = restrict(received());
    expect(header(message, "x-user")).toBe("jo");
    expect(message.headers).toBe(message.headers);
    mapOf(message).headers.pop();
    expect(header(message, "x-user")).toBeUndefined();
  });

  test("headers on demand of a frozen message cannot be replaced", () => {
    const message: { headers?: unknown } = Object.freeze(received());
    expect(() => {
      message.headers = undefined;
    }).toThrow(TypeError);
  });

  test("headers on demand are never read through another object, where they would be lost silently", () => {
    const derived: HttpHeaders = Object.create(received());
    expect(() => derived.headers).toThrow(TypeError);
    expect(() => header(new Proxy(received(), {}), "x-user")).toThrow(TypeError);
    // The error leaves no state behind.
    expect(header(received(), "x-user")).toBe("jo");
  });

  test("headers on demand that are empty do not end the others", () => {
    const message = received([
      ["", ""],
      ["x-a", ""],
      ["x-b", "2"],
    ]);
    const fields = headerFields(message);
    expect([header(message, ""), header(message, "x-a"), header(message, "x-b")]).toEqual(["", "", "2"]);
    expect(fields instanceof HeaderIndex && [fields.count, fields.size]).toEqual([3, 7]);
  });

  test("headers on demand are not made for a working copy that is not read", () => {
    const fields = headerFields(received());
    const head = new WorkingHead(fields, [{ op: "set", name: "x-b", value: Uint8Array.of(0x31) }]);
    expect([head.has("x-user"), head.has("x-b"), head.has("x-c")]).toEqual([true, true, false]);
    expect(head.overLimit({ maxHeaders: 3, maxBytes: 100 })).toBeUndefined();
    expect(head.overLimit({ maxHeaders: 2, maxBytes: 100 })).toMatch(/3 headers/);
    expect(head.entries.map(({ key }) => key)).toEqual([":path", "x-user", "x-b"]);
    expect(new WorkingHead(fields, []).fields).toBe(fields);
  });

  test("headers on demand have a text of any length", () => {
    const values = [0, 1, 12, 13, 64, 127, 128, 5000, 20_000].map((length) => "v".repeat(length));
    for (const value of [...values, "é", "\u{1f600}".repeat(2000)]) {
      const message = received([
        ["x-a", value],
        ["x-b", "b"],
      ]);
      expect([header(message, "x-a"), header(message, "x-b")]).toEqual([value, "b"]);
    }
  });

  test("headers on demand of a message without headers are as protobuf-es reads them", () => {
    const map = decodeRequest(toBinary(ProcessingRequestSchema, headersOf("responseHeaders"))).request.value;
    expect(map).toMatchObject({ headers: { $typeName: HeaderMapSchema.typeName, headers: [] } });
  });
});
