import { describe, expect, test } from "vitest";
import { headOf } from "../../../src/protocol/headers/head.ts";
import { headerEntries } from "../../../src/protocol/headers/headers.ts";
import { httpHeaders } from "../messages.ts";

describe("headOf a request", () => {
  const request = httpHeaders([
    [":method", "POST"],
    [":path", "/a?b=c"],
    [":authority", "outbound|9002||ext-proc.default"],
    ["X-Twice", "1"],
    ["x-twice", "2"],
    ["x-bytes", Uint8Array.of(0xff, 0xfe)],
  ]);
  const head = headOf(() => headerEntries(request));

  test("the head of a request names the pseudo-headers", () => {
    expect(head).toMatchObject({ method: "POST", path: "/a?b=c", authority: "outbound|9002||ext-proc.default" });
    expect(head.status).toBeUndefined();
  });

  test("the head of a request gives joined text, every value, the only value, and exact bytes", () => {
    expect(head.get("x-TWICE")).toBe("1, 2");
    expect(head.all("x-twice")).toEqual(["1", "2"]);
    expect(head.one(":method")).toBe("POST");
    expect(() => head.one("x-twice")).toThrow('header "x-twice" came more than once');
    expect(head.bytes("X-Bytes")).toEqual(Uint8Array.of(0xff, 0xfe));
  });
});

describe("headOf a response", () => {
  const statusOf = (value: string) => headOf(() => headerEntries(httpHeaders([[":status", value]]))).status;

  test("the head of a response gives the status as a number", () => {
    expect(statusOf("200")).toBe(200);
    expect(statusOf("999")).toBe(999);
  });

  test.each(["", "20", "2000", "abc", " 200", "2e2", "-20", "0x1"])(
    "the head of a response has no status if the header is %j",
    (value) => {
      expect(statusOf(value)).toBeUndefined();
    },
  );

  test("the head of a response has no status if it came twice", () => {
    const twice = httpHeaders([
      [":status", "200"],
      [":status", "500"],
    ]);
    expect(headOf(() => headerEntries(twice)).status).toBeUndefined();
  });
});

test("headOf() of no message is a head without headers", () => {
  const head = headOf(() => []);
  expect([head.method, head.path, head.authority, head.status]).toEqual([undefined, undefined, undefined, undefined]);
  expect([head.get("x"), head.all("x"), head.one("x"), head.bytes("x")]).toEqual([undefined, [], undefined, undefined]);
});
