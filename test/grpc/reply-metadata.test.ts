import { describe, expect, test } from "vitest";
import { metadataFields } from "../../src/grpc/reply-metadata.ts";

describe("metadata of a reply", () => {
  test("metadata of a reply is unchanged text, or bytes in base64 without padding", () => {
    expect(
      metadataFields([
        ["ext-proc-fault", "handler_threw"],
        ["a-bin", Uint8Array.of(0xff, 0x00, 0x01, 0x02)],
        ["a-bin", new Uint8Array()],
      ]),
    ).toEqual([
      ["ext-proc-fault", "handler_threw"],
      ["a-bin", "/wABAg"],
      ["a-bin", ""],
    ]);
  });

  test.each([
    ["a name of gRPC's own", "grpc-status", "0"],
    ["a pseudo-header", ":status", "200"],
    ["a name in upper case", "A", "1"],
    ["no name", "", "1"],
    ["a field of the reply itself", "content-type", "text/plain"],
    ["a field of the connection", "connection", "close"],
    ["bytes under a name for text", "a", Uint8Array.of(1)],
    ["text under a name for bytes", "a-bin", "AQ"],
    ["a line break", "a", "1\r\nb: 2"],
    ["a blank at its end", "a", "1 "],
    ["an empty value", "a", ""],
    ["text beyond ASCII", "a", "ü"],
  ])("metadata of a reply is refused with %s", (_what, name, value) => {
    expect(() => metadataFields([[name, value]])).toThrow(TypeError);
  });
});
