import { describe, expect, test } from "vitest";
import { HpackDecoder } from "../../src/http2/hpack-decoder.ts";
import { resolveHttp2Limits } from "../../src/http2/limits.ts";
import { integer, literal } from "./raw-frames.ts";

const decoder = (limits = {}) => new HpackDecoder(resolveHttp2Limits(limits));
const decode = (hpack: HpackDecoder, block: Uint8Array) => {
  const bytes = Buffer.from(block);
  return hpack.decode(bytes, 0, bytes.length).fields.map(({ name, value }) => `${name}: ${value}`);
};
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ""), "hex");

describe("examples of RFC 7541 appendix C", () => {
  test.each([
    ["C.2.1", "400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572", ["custom-key: custom-header"]],
    ["C.2.2", "040c 2f73 616d 706c 652f 7061 7468", [":path: /sample/path"]],
    ["C.2.3", "1008 7061 7373 776f 7264 0673 6563 7265 74", ["password: secret"]],
    ["C.2.4", "82", [":method: GET"]],
  ])("%s decodes", (_name, block, fields) => {
    expect(decode(decoder(), hex(block))).toEqual(fields);
  });

  const requests = [
    [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com"],
    [":method: GET", ":scheme: http", ":path: /", ":authority: www.example.com", "cache-control: no-cache"],
    [":method: GET", ":scheme: https", ":path: /index.html", ":authority: www.example.com", "custom-key: custom-value"],
  ];

  test.each([
    [
      "C.3, plain",
      [
        "8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
        "8286 84be 5808 6e6f 2d63 6163 6865",
        "8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65",
      ],
    ],
    [
      "C.4, Huffman",
      [
        "8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff",
        "8286 84be 5886 a8eb 1064 9cbf",
        "8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf",
      ],
    ],
  ])("%s decodes: three requests on one connection", (_name, blocks) => {
    const hpack = decoder();
    expect(blocks.map((block) => decode(hpack, hex(block)))).toEqual(requests);
  });

  const responses = [
    [
      ":status: 302",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:21 GMT",
      "location: https://www.example.com",
    ],
    [
      ":status: 307",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:21 GMT",
      "location: https://www.example.com",
    ],
    [
      ":status: 200",
      "cache-control: private",
      "date: Mon, 21 Oct 2013 20:13:22 GMT",
      "location: https://www.example.com",
      "content-encoding: gzip",
      "set-cookie: foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
    ],
  ];

  test.each([
    [
      "C.5, plain",
      [
        `4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3120
         474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d`,
        "4803 3330 37c1 c0bf",
        `88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04 677a 6970 7738
         666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49 553b 206d 6178 2d61 6765 3d33
         3630 303b 2076 6572 7369 6f6e 3d31`,
      ],
    ],
    [
      "C.6, Huffman",
      [
        `4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6 2d1b ff6e 919d 29ad 1718
         63c7 8f0b 97c8 e9ae 82ae 43d3`,
        "4883 640e ffc1 c0bf",
        `88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7 821d d7f2 e6c7
         b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed 4ee5 b106 3d50 07`,
      ],
    ],
  ])("%s decodes: three responses with a table of 256 bytes, which evicts", (_name, blocks) => {
    const hpack = decoder();
    const shrink = integer(256, 0x1f, 0x20);
    const [first = "", ...others] = blocks;
    const lists = [decode(hpack, Buffer.concat([shrink, hex(first)])), ...others.map((b) => decode(hpack, hex(b)))];
    expect(lists).toEqual(responses);
  });
});

describe("the dynamic table", () => {
  const add = (name: string, value: string) => literal(name, value, 0x40);
  const newest = Buffer.of(0x80 | 62);

  test("an entry larger than the dynamic table empties it and is not an error", () => {
    const hpack = decoder();
    decode(hpack, add("a", "1"));
    expect(decode(hpack, add("b", "v".repeat(4096)))).toHaveLength(1);
    expect(() => decode(hpack, newest)).toThrow("no entry 62");
  });

  test("the dynamic table counts entries to the byte: 4096 fit, the next entry evicts the oldest", () => {
    const hpack = decoder();
    // 32 entries of 128 bytes.
    for (let i = 0; i < 32; i++) decode(hpack, add(`n${String(i).padStart(2, "0")}`, "v".repeat(93)));
    const oldest = integer(62 + 31, 0x7f, 0x80);
    expect(decode(hpack, oldest)[0]).toMatch(/^n00/);
    decode(hpack, add("n32", ""));
    expect(decode(hpack, oldest)[0]).toMatch(/^n01/);
    expect(() => decode(hpack, integer(62 + 32, 0x7f, 0x80))).toThrow("no entry");
  });

  test("the dynamic table keeps its order when its ring grows and wraps", () => {
    const hpack = decoder();
    for (let i = 0; i < 300; i++) decode(hpack, add("n", String(i)));
    // 34 to 36 bytes each, so that over a hundred of them stay.
    for (let back = 0; back < 100; back++) {
      expect(decode(hpack, integer(62 + back, 0x7f, 0x80))).toEqual([`n: ${299 - back}`]);
    }
  });

  test("the dynamic table may be emptied and enlarged again within one block", () => {
    const hpack = decoder();
    decode(hpack, add("a", "1"));
    decode(hpack, Buffer.concat([integer(0, 0x1f, 0x20), integer(4096, 0x1f, 0x20)]));
    expect(() => decode(hpack, newest)).toThrow("no entry 62");
    decode(hpack, add("b", "2"));
    expect(decode(hpack, newest)).toEqual(["b: 2"]);
  });

  test("the dynamic table has 4096 bytes until the client enlarges it to what SETTINGS allow", () => {
    const hpack = decoder({ headerTableBytes: 8192 });
    decode(hpack, add("a", "v".repeat(4000)));
    decode(hpack, add("b", "v".repeat(4000)));
    expect(() => decode(hpack, Buffer.of(0x80 | 63))).toThrow("no entry 63");
    decode(hpack, Buffer.concat([integer(8192, 0x1f, 0x20), add("a", "v".repeat(4000))]));
    expect(decode(hpack, Buffer.of(0x80 | 63))[0]).toMatch(/^b/);
    expect(() => decode(hpack, integer(8193, 0x1f, 0x20))).toThrow("a table of 8193 bytes");
  });

  test("the dynamic table must be reduced once the client has acknowledged a smaller size", () => {
    const hpack = decoder({ headerTableBytes: 1024 });
    expect(decode(hpack, add("a", "1"))).toEqual(["a: 1"]);
    hpack.settingsAcknowledged();
    expect(() => decode(hpack, add("b", "2"))).toThrow("was not reduced");
    expect(decode(hpack, Buffer.concat([integer(1024, 0x1f, 0x20), add("b", "2")]))).toEqual(["b: 2"]);
  });
});

describe("malformed blocks", () => {
  test.each([
    ["index 0", Buffer.of(0x80)],
    ["an index outside of the tables", Buffer.of(0xff, 0x00)],
    ["a name index outside of the tables", Buffer.of(0x7f, 0x00, 0x00)],
    ["a size update after a field", Buffer.of(0x82, 0x20)],
    ["a size above the limit", integer(4097, 0x1f, 0x20)],
    ["an integer without end", Buffer.of(0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)],
    ["an integer cut off", Buffer.of(0xff, 0x80)],
    ["a literal without strings", Buffer.of(0x40)],
    ["a literal without value", Buffer.of(0x40, 0x01, 0x61)],
    ["a string longer than the block", Buffer.of(0x40, 0x05, 0x61)],
    ["Huffman padding of zeros", hex("0001 6181 18")],
    ["Huffman padding of eight bits", hex("0001 6182 1fff")],
    ["a Huffman string with EOS", hex("0001 6184 ffff fffc")],
  ])("%s ends the connection with COMPRESSION_ERROR", (_name, block) => {
    expect(() => decode(decoder(), block)).toThrow(expect.objectContaining({ code: 9, reason: "invalid_hpack" }));
  });
});

describe("Huffman code", () => {
  test("an empty Huffman string has no bits", () => {
    expect(decode(decoder(), hex("0001 6180"))).toEqual(["a: "]);
  });

  test("a whole byte of the shortest Huffman codes and up to seven bits of padding decode", () => {
    // '0' is 00000, '&' is 11111000.
    expect(decode(decoder(), hex("0001 6181 07"))).toEqual(["a: 0"]);
    expect(decode(decoder(), hex("0001 6181 f8"))).toEqual(["a: &"]);
  });

  test("bytes beyond ASCII keep their value in Huffman code", () => {
    // 255 is the 26 bits 3ffffee.
    expect(decode(decoder(), hex("0001 6184 ffff fbbf"))).toEqual(["a: \u00ff"]);
  });
});

describe("the cache of the last block", () => {
  const request = Buffer.concat([Buffer.of(0x83, 0x86), literal(":path", "/a"), literal("x", "1")]);

  test("equal blocks share one list", () => {
    const hpack = decoder();
    const first = hpack.decode(request, 0, request.length);
    const copy = Buffer.concat([Buffer.from("xx"), request]);
    expect(hpack.decode(copy, 2, copy.length)).toBe(first);
  });

  test("the cache of the last block is cleared when the table changes", () => {
    const hpack = decoder();
    decode(hpack, literal("a", "1", 0x40));
    const newest = Buffer.of(0xbe);
    expect(decode(hpack, newest)).toEqual(["a: 1"]);
    decode(hpack, literal("a", "2", 0x40));
    expect(decode(hpack, newest)).toEqual(["a: 2"]);
    decode(hpack, Buffer.of(0x20));
    expect(() => decode(hpack, newest)).toThrow("no entry 62");
  });

  test("a block that differs in its last byte is decoded", () => {
    const hpack = decoder();
    decode(hpack, literal("x", "1"));
    expect(decode(hpack, literal("x", "2"))).toEqual(["x: 2"]);
  });
});

describe("size limits of header blocks", () => {
  test("a list over maxHeaderListBytes is decoded to its end, since the table needs it", () => {
    const hpack = decoder({ maxHeaderListBytes: 1024 });
    const block = Buffer.concat([literal("x", "v".repeat(2000)), literal("a", "1", 0x40)]);
    expect(hpack.decode(block, 0, block.length).isTooLarge).toBe(true);
    expect(decode(hpack, Buffer.of(0xbe))).toEqual(["a: 1"]);
  });

  test("a block of references that decodes to over maxHeaderExpansionBytes is an HPACK bomb", () => {
    const block = Buffer.concat([literal("x", "v".repeat(3900), 0x40), Buffer.alloc(1000, 0xbe)]);
    expect(() => decode(decoder(), block)).toThrow(expect.objectContaining({ code: 11, reason: "hpack_bomb" }));
  });
});
