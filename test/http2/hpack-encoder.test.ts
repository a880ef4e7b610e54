import { describe, expect, test } from "vitest";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { encodeHeaderBlock } from "../../src/http2/hpack-encoder.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";

const decode = (block: Uint8Array) => {
  const bytes = Buffer.from(block);
  const list = new HpackDecoder(resolveHttp2Limits({ maxHeaderListBytes: 1 << 20 })).decode(bytes, 0, bytes.length);
  return list.fields.map(({ name, value }) => [name, value]);
};

test("a decoder reads what the encoder writes", () => {
  const fields: [string, string][] = [
    [":status", "200"],
    [":status", "503"],
    ["content-type", "application/grpc"],
    ["x-own", ""],
    ["x-long", "v".repeat(20_000)],
    ["x-bytes", "\u0080\u00ff"],
    [`n${"a".repeat(200)}`, "1"],
  ];
  expect(decode(encodeHeaderBlock(fields))).toEqual(fields);
});

test("the encoder uses the static table, and does not change the dynamic one", () => {
  expect(Buffer.from(encodeHeaderBlock([[":status", "200"]]))).toEqual(Buffer.of(0x88));
  expect(Buffer.from(encodeHeaderBlock([["content-type", "x"]])).toString("hex")).toBe("0f100178");
  for (const byte of encodeHeaderBlock([["x", "y"]]).subarray(0, 1)) expect(byte & 0xf0).toBe(0);
});

describe("headers that would be another message on the wire", () => {
  test.each([
    ["capitals", "X-A", "1"],
    ["a colon", "a:b", "1"],
    ["an empty name", "", "1"],
    ["a pseudo-header field of requests", ":path", "/"],
    ["a connection-specific field", "transfer-encoding", "chunked"],
    ["CR LF", "x", "a\r\nb: c"],
    ["NUL", "x", "\0"],
    ["a character that latin1 would turn into LF", "x", "\u010a"],
    ["a character beyond latin1", "x", "日本"],
  ])("the encoder refuses %s", (_name, name, value) => {
    expect(() => encodeHeaderBlock([[name, value]])).toThrow(TypeError);
  });
});
