import { describe, expect, test } from "vitest";
import { HeaderField } from "../../src/http2/header-field.ts";
import { HeaderList, HeaderListBuilder } from "../../src/http2/header-list.ts";
import type { Field } from "./raw-frames.ts";

function listOf(...fields: readonly Field[]): HeaderList {
  const builder = new HeaderListBuilder(16_384, 1 << 20);
  for (const [name, value] of fields) builder.add(new HeaderField(name, value));
  return new HeaderList(builder);
}

const GET: readonly Field[] = [
  [":method", "GET"],
  [":scheme", "http"],
  [":path", "/"],
];
const without = (name: string) => GET.filter(([other]) => other !== name);

describe("accepted requests", () => {
  test.each<[string, readonly Field[]]>([
    ["without :authority", GET],
    ["te: trailers", [...GET, ["te", "trailers"]]],
    ["any order of pseudo-header fields", [...GET].reverse()],
    ["an empty value", [...GET, ["x", ""]]],
    ["a blank and bytes beyond ASCII inside of a value", [...GET, ["x", "a b\t\u00e4\u00ff"]]],
    ["an unknown method", [[":method", "BREW"], ...without(":method")]],
    ["content-length twice, equal", [...GET, ["content-length", "5"], ["content-length", "5"]]],
    [
      "OPTIONS *",
      [
        [":method", "OPTIONS"],
        [":scheme", "http"],
        [":path", "*"],
      ],
    ],
    [
      "CONNECT",
      [
        [":method", "CONNECT"],
        [":authority", "example.com:443"],
      ],
    ],
    ["a host with :authority", [...GET, [":authority", "a"], ["host", "b"]]],
  ])("a request is accepted: %s", (_name, fields) => {
    expect(listOf(...fields).requestFault).toBe("");
  });

  test.each(["outbound|9002||ext-proc.default.svc.cluster.local", "ns/policy/0", "%%%bad", "[::1]:9002", "a b", "ü"])(
    "a request with :authority %j is accepted, and the value unchanged",
    (authority) => {
      const list = listOf(...GET, [":authority", authority]);
      expect(list).toMatchObject({ requestFault: "", authority });
    },
  );
});

describe("malformed requests", () => {
  test.each<[string, readonly Field[]]>([
    ["no :method", without(":method")],
    ["no :scheme", without(":scheme")],
    ["no :path", without(":path")],
    ["an empty :path", [...without(":path"), [":path", ""]]],
    ["a relative :path", [...without(":path"), [":path", "a"]]],
    ["* for anything but OPTIONS", [...without(":path"), [":path", "*"]]],
    ["a blank in :method", [...without(":method"), [":method", "G ET"]]],
    ["a repeated pseudo-header field", [...GET, [":path", "/"]]],
    ["a pseudo-header field after a regular one", [["x", "1"], ...GET]],
    ["a pseudo-header field of responses", [...GET, [":status", "200"]]],
    ["an unknown pseudo-header field", [...GET, [":protocol", "websocket"]]],
    ["capitals in a name", [...GET, ["X-Capital", "1"]]],
    ["an empty name", [...GET, ["", "1"]]],
    ["a blank in a name", [...GET, ["a b", "1"]]],
    ["a colon in a name", [...GET, ["a:b", "1"]]],
    ["NUL in a value", [...GET, ["x", "a\0b"]]],
    ["LF in a value", [...GET, ["x", "a\nb"]]],
    ["CR in a value", [...GET, ["x", "a\rb"]]],
    ["LF at a value's end", [...GET, ["x", "a\n"]]],
    ["a blank at a value's start", [...GET, ["x", " a"]]],
    ["a tab at a value's end", [...GET, ["x", "a\t"]]],
    ["connection", [...GET, ["connection", "close"]]],
    ["keep-alive", [...GET, ["keep-alive", "1"]]],
    ["proxy-connection", [...GET, ["proxy-connection", "close"]]],
    ["transfer-encoding", [...GET, ["transfer-encoding", "chunked"]]],
    ["upgrade", [...GET, ["upgrade", "h2c"]]],
    ["te other than trailers", [...GET, ["te", "gzip"]]],
    ["a negative content-length", [...GET, ["content-length", "-1"]]],
    ["an empty content-length", [...GET, ["content-length", ""]]],
    ["a content-length list", [...GET, ["content-length", "5, 5"]]],
    ["a content-length beyond 15 digits", [...GET, ["content-length", "9".repeat(16)]]],
    ["content-length twice, unequal", [...GET, ["content-length", "5"], ["content-length", "6"]]],
    ["CONNECT without :authority", [[":method", "CONNECT"]]],
    [
      "CONNECT with :path",
      [
        [":method", "CONNECT"],
        [":authority", "a"],
        [":path", "/"],
      ],
    ],
    [
      "CONNECT with :scheme",
      [
        [":method", "CONNECT"],
        [":authority", "a"],
        [":scheme", "http"],
      ],
    ],
  ])("a request is malformed: %s", (_name, fields) => {
    expect(listOf(...fields).requestFault).not.toBe("");
  });
});

describe("trailers", () => {
  test("regular fields are allowed as trailers, te and content-length included", () => {
    expect(listOf(["grpc-status", "0"], ["te", "gzip"], ["content-length", "x"]).trailerFault).toBe("");
  });

  test.each<[string, Field]>([
    ["a pseudo-header field", [":path", "/"]],
    ["a connection-specific field", ["connection", "close"]],
    ["an invalid name", ["A", "1"]],
    ["an invalid value", ["a", "\n"]],
  ])("trailers with %s are a fault", (_name, field) => {
    expect(listOf(field).trailerFault).not.toBe("");
  });
});

test("get() finds the first value by name", () => {
  const list = listOf(...GET, ["x", "1"], ["x", "2"]);
  expect(list.get("x")).toBe("1");
  expect(list.get(":path")).toBe("/");
  expect(list.get("y")).toBeUndefined();
});

test("a header list counts 32 bytes for each field, and is too large only above the limit", () => {
  const builder = new HeaderListBuilder(2 * (32 + 2), 1 << 20);
  builder.add(new HeaderField("a", "1"));
  builder.add(new HeaderField("b", "2"));
  expect(new HeaderList(builder)).toMatchObject({ isTooLarge: false });
  builder.add(new HeaderField("", ""));
  expect(new HeaderList(builder)).toMatchObject({ isTooLarge: true });
});
