import { create, toBinary } from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { decodeRequest } from "../../src/wire/decode-request.ts";

/** Stands for text that is not UTF-8: the test replaces it by bytes of the same number. */
const PLACE = "@@@";
const NOT_UTF8 = [0x61, 0xff, 0x62];
const AS_LATIN1 = "a\u00ffb";

function written(message: ProcessingRequest): Uint8Array {
  const bytes = toBinary(ProcessingRequestSchema, message);
  for (let at = bytes.length - PLACE.length; at >= 0; at--)
    if (NOT_UTF8.every((_, index) => bytes[at + index] === 0x40)) bytes.set(NOT_UTF8, at);
  return bytes;
}

/** A message as Envoy writes it, with this text in every field that a client's bytes can reach. */
function messageWith(text: string): ProcessingRequest {
  return create(ProcessingRequestSchema, {
    request: {
      case: "requestHeaders",
      value: { endOfStream: true, headers: { headers: [{ key: "x-a", value: text }] } },
    },
    attributes: {
      "envoy.filters.http.ext_proc": { "request.useragent": text, nested: { list: [text, 1.5, null, true] } },
    },
    metadataContext: { filterMetadata: { [text]: { header: text } } },
    protocolConfig: { requestBodyMode: 2 },
  });
}

describe("decodeRequest", () => {
  test("decodeRequest reads what protobuf-es reads, unknown fields too", () => {
    const message = messageWith("é");
    message.$unknown = [{ no: 5000, wireType: 0, data: Uint8Array.of(7) }];
    expect(decodeRequest(toBinary(ProcessingRequestSchema, message))).toEqual(message);
  });

  test("decodeRequest reads only text that is not UTF-8 as latin1, in every field", () => {
    const message = messageWith(PLACE);
    message.$unknown = [{ no: 5000, wireType: 0, data: Uint8Array.of(7) }];
    const expected = messageWith(AS_LATIN1);
    expected.$unknown = message.$unknown;
    expect(decodeRequest(written(message))).toEqual(expected);
  });

  test("decodeRequest does not change bytes fields next to text that is not UTF-8", () => {
    const rawValue = Uint8Array.of(0xff, 0xfe);
    const message = messageWith(PLACE);
    if (message.request.case !== "requestHeaders") throw new Error("is not requestHeaders");
    const [entry] = message.request.value.headers?.headers ?? [];
    if (entry) entry.rawValue = rawValue;
    const { request } = decodeRequest(written(message));
    expect(request).toMatchObject({ value: { headers: { headers: [{ rawValue }] } } });
  });

  test.each([
    ["ends inside a field", [0x4a, 0x7f, 0x01]],
    ["has a wire type that there is not", [0x0f]],
    ["ends a group that it did not begin", [0x0c]],
    ["says a length beyond its end", [0x12, 0xff, 0xff, 0xff, 0xff, 0x0f]],
  ])("decodeRequest throws if a message %s", (_what, bytes) => {
    expect(() => decodeRequest(Uint8Array.from(bytes))).toThrow();
  });

  test("decodeRequest throws if messages are nested too deep, however much text they hold", () => {
    // ListValue.values (1) of Value.list_value (6), without end.
    let content: number[] = [0x1a, 0x01, 0xff];
    const lengthOf = (length: number) => (length < 128 ? [length] : [(length & 127) | 128, length >> 7]);
    for (let depth = 0; depth < 500; depth++) {
      const list = [0x0a, ...lengthOf(content.length), ...content];
      content = [0x32, ...lengthOf(list.length), ...list];
    }
    const field = [0x12, ...lengthOf(content.length), ...content];
    const struct = [0x0a, ...lengthOf(field.length), ...field];
    const entry = [0x12, ...lengthOf(struct.length), ...struct];
    expect(() => decodeRequest(Uint8Array.from([0x4a, ...lengthOf(entry.length), ...entry]))).toThrow(/deep|depth/);
  });
});

test.each(["requestHeaders", "requestTrailers"] as const)(
  "decodeRequest reads %s without a list of headers, and with an unknown field",
  (phase) => {
    const message = toBinary(
      ProcessingRequestSchema,
      create(ProcessingRequestSchema, { request: { case: phase, value: {} } }),
    );
    // Field 1000, a varint: the reader of Envoy's usual form leaves such a message to protobuf-es.
    const request = decodeRequest(Uint8Array.of(...message, 0xc0, 0x3e, 0x01));
    expect(request.request.case).toBe(phase);
  },
);
