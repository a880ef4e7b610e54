import { status } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { encodeGrpcMessage } from "../../src/grpc/status.ts";
import { GrpcStatus } from "../../src/protocol/grpc-status.ts";
import { bounded, fc } from "../property/seed.ts";

const EVERY_BYTE = Uint8Array.from({ length: 256 }, (_, byte) => byte);

describe("encodeGrpcMessage", () => {
  test.each([
    ["", ""],
    ["plain text, as it is: {}[]\"'~", "plain text, as it is: {}[]\"'~"],
    ["100%", "100%25"],
    ["%41", "%2541"],
    ["a\r\nb\tc\0", "a%0D%0Ab%09c%00"],
    ["\x7f\x80", "%7F%C2%80"],
    ["grüße", "gr%C3%BC%C3%9Fe"],
    ["🙂", "%F0%9F%99%82"],
    ["a\ud800b", "a%EF%BF%BDb"],
  ])("encodeGrpcMessage writes %j as %j", (text, encoded) => {
    expect(encodeGrpcMessage(text)).toBe(encoded);
  });

  test("encodeGrpcMessage leaves printable ASCII unchanged, and every other byte of latin1 survives a round trip", () => {
    const text = Buffer.from(EVERY_BYTE).toString("latin1");
    expect(decodeURIComponent(encodeGrpcMessage(text))).toBe(text);
    expect(encodeGrpcMessage(text)).toContain(text.slice(0x26, 0x7f));
  });

  test("encodeGrpcMessage gives only printable ASCII that decodes to the text, whatever the text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), (text) => {
        const encoded = encodeGrpcMessage(text);
        expect(encoded).toMatch(/^[\x20-\x7e]*$/);
        expect(decodeURIComponent(encoded)).toBe(Buffer.from(text).toString());
      }),
      bounded(1_000),
    );
  });
});

describe("GrpcStatus", () => {
  test("GrpcStatus has the numbers of grpc-js", () => {
    expect(Object.entries(GrpcStatus)).toEqual(Object.keys(GrpcStatus).map((name) => [name, status[name as never]]));
  });
});
