import { create, toBinary } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { ProcessingRequestSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { header } from "../../src/protocol/headers/headers.ts";
import { decodeRequest } from "../../src/wire/decode-request.ts";
import { MAX_MESSAGE_HEADERS, TooManyParts } from "../../src/wire/message-limits.ts";
import { bounded, fc } from "../property/seed.ts";

const REQUEST_HEADERS = 2;
const RESPONSE_TRAILERS = 7;
const METADATA = 8;
const ATTRIBUTES = 9;
/** Gives a message a form that Envoy does not write, so that protobuf-es reads it. */
const UNKNOWN = 15;

const delimited = (number: number, bytes: Uint8Array) =>
  new BinaryWriter().tag(number, WireType.LengthDelimited).bytes(bytes).finish();
const repeated = (bytes: Uint8Array, count: number) => Buffer.alloc(bytes.length * count, bytes);
const headers = (count: number, member = REQUEST_HEADERS, entry = Uint8Array.of(0x0a, 0)) =>
  delimited(member, delimited(1, repeated(entry, count)));

/** CPU time of reading, in ms, and the result. */
function reading(bytes: Uint8Array): [cpuMs: number, outcome: unknown] {
  const before = process.cpuUsage();
  let outcome: unknown;
  try {
    outcome = decodeRequest(bytes).request.case;
  } catch (error) {
    outcome = error;
  }
  const { user, system } = process.cpuUsage(before);
  return [(user + system) / 1000, outcome];
}

describe("limits of a message", () => {
  test.each([
    ["request headers", REQUEST_HEADERS],
    ["response trailers", RESPONSE_TRAILERS],
  ])("a message may have 10,000 %s, and is refused with one more", (_name, member) => {
    expect(reading(headers(MAX_MESSAGE_HEADERS, member))[1]).toBeTypeOf("string");
    expect(reading(headers(MAX_MESSAGE_HEADERS + 1, member))[1]).toBeInstanceOf(TooManyParts);
  });

  test("a message may have 10,000 headers in a form that Envoy does not use, and is refused with one more", () => {
    const unknown = delimited(UNKNOWN, Uint8Array.of(1));
    expect(reading(Buffer.concat([unknown, headers(MAX_MESSAGE_HEADERS)]))[1]).toBe("requestHeaders");
    expect(reading(Buffer.concat([unknown, headers(MAX_MESSAGE_HEADERS + 1)]))[1]).toBeInstanceOf(TooManyParts);
  });

  test.each([
    ["2 million empty headers", headers(2_000_000)],
    [
      "2 million empty headers behind an unknown field",
      Buffer.concat([delimited(UNKNOWN, Uint8Array.of(1)), headers(2_000_000)]),
    ],
    [
      "a million headers with an unknown field each",
      headers(1_000_000, REQUEST_HEADERS, Uint8Array.of(0x0a, 2, 0x78, 0)),
    ],
    ["2 million empty members", repeated(Uint8Array.of(0x12, 0), 2_000_000)],
    ["2 million empty attributes", repeated(delimited(ATTRIBUTES, new Uint8Array(0)), 2_000_000)],
    [
      "a million attributes in one",
      delimited(ATTRIBUTES, delimited(2, repeated(delimited(1, delimited(2, new Uint8Array(0))), 600_000))),
    ],
    [
      "2 million empty namespaces of metadata",
      delimited(METADATA, repeated(delimited(1, new Uint8Array(0)), 2_000_000)),
    ],
    ["2 million unknown fields", repeated(Uint8Array.of(0x78, 0), 2_000_000)],
  ])("a message of %s is refused before it is read, in less than 150 ms of CPU", (_name, bytes) => {
    const [cpuMs, outcome] = reading(bytes);
    expect(outcome).toBeInstanceOf(TooManyParts);
    expect(cpuMs).toBeLessThan(150);
  });

  test("a message of 4 MiB in one header is read", () => {
    const value = new Uint8Array(4 << 20).fill(0x61);
    const entry = { key: "x-large", rawValue: value };
    const message = create(ProcessingRequestSchema, {
      request: { case: "requestHeaders", value: { headers: { headers: [entry] } } },
    });
    const { request } = decodeRequest(toBinary(ProcessingRequestSchema, message));
    expect(request.case === "requestHeaders" && header(request.value, "x-large")?.length).toBe(4 << 20);
  });

  test("a message of nested structures is read as before, or refused as malformed, at any depth", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5_000 }), fc.integer({ min: 100_000, max: 120_000 }), (depth, padding) => {
        let value: Uint8Array = delimited(3, new Uint8Array(padding));
        for (let level = 0; level < depth && level < 300; level++) value = delimited(6, delimited(1, value));
        const bytes = delimited(ATTRIBUTES, delimited(2, delimited(1, delimited(2, value))));
        expect(reading(bytes)[1]).not.toBeInstanceOf(TooManyParts);
      }),
      bounded(20),
    );
  });
});
