import {
  create,
  type DescField,
  type DescMessage,
  type MessageInitShape,
  ScalarType,
  toBinary,
} from "@bufbuild/protobuf";
import { describe, expect, test } from "vitest";
import { ProcessingResponseSchema } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { type EncodedAnswer, encodeAnswer, encodeDirectly } from "../../src/wire/encode-answer.ts";

const SCHEMA = ProcessingResponseSchema;

/** Fields that few answers have, or none. protobuf-es encodes an answer with one of them. */
const LEFT_TO_PROTOBUF = [
  "envoy.service.ext_proc.v3.CommonResponse.trailers",
  "envoy.service.ext_proc.v3.ProcessingResponse.dynamic_metadata",
  "envoy.service.ext_proc.v3.ProcessingResponse.mode_override",
  "envoy.service.ext_proc.v3.ProcessingResponse.override_message_timeout",
  "envoy.service.ext_proc.v3.ProcessingResponse.request_drain",
  "envoy.service.ext_proc.v3.ProcessingResponse.request_drain_requests",
  "envoy.service.ext_proc.v3.ProcessingResponse.request_drain_responses",
  "envoy.service.ext_proc.v3.ProcessingResponse.server_window_update",
  "envoy.service.ext_proc.v3.ProcessingResponse.streamed_immediate_response",
  "envoy.service.ext_proc.v3.ProcessingResponse.typed_dynamic_metadata",
];

type Init = Record<string, unknown>;

/** A message with this field, which is not zero or empty. */
function withField(field: DescField, value: unknown = sample(field)): Init {
  if (field.oneof) return { [field.oneof.localName]: { case: field.localName, value } };
  if (field.fieldKind === "list") return { [field.localName]: [value] };
  return { [field.localName]: field.fieldKind === "map" ? { a: value } : value };
}

function sample({ message, enum: values, scalar }: DescField): unknown {
  if (message) return {};
  if (values) return values.values.at(-1)?.number;
  if (scalar === ScalarType.BOOL) return true;
  if (scalar === ScalarType.STRING) return "a";
  return scalar === ScalarType.BYTES ? Uint8Array.of(1) : 3;
}

function bytesOf(encoded: EncodedAnswer): Uint8Array {
  const bytes = new Uint8Array(encoded.length);
  encoded.copyTo(bytes, 0);
  return bytes;
}

/** Encodes an answer for each field of a message and of the messages in it. Returns the fields that are not written directly. */
function fieldsLeft(message: DescMessage, around: (init: Init) => Init): string[] {
  return message.fields.flatMap((field) => {
    const answer = create(SCHEMA, around(withField(field)) as MessageInitShape<typeof SCHEMA>);
    const encoded = encodeDirectly(answer);
    if (encoded === undefined) return [`${message.typeName}.${field.name}`];
    expect(bytesOf(encoded), field.name).toEqual(toBinary(SCHEMA, answer));
    return field.message ? fieldsLeft(field.message, (init) => around(withField(field, init))) : [];
  });
}

describe("an answer", () => {
  test("an answer with any field of the schema is written directly, or listed here as left to protobuf-es", () => {
    const member = { response: { case: "requestHeaders", value: {} } };
    expect(new Set(fieldsLeft(SCHEMA, (init) => ({ ...member, ...init })))).toEqual(new Set(LEFT_TO_PROTOBUF));
  });

  test.each([
    ["a value of 513 bytes", 513],
    ["a value of 100,000 bytes", 100_000],
  ])("an answer with %s is written directly, also between other headers", (_name, length) => {
    const value = new Uint8Array(length).fill(7);
    const setHeaders = [value, Uint8Array.of(1), value].map((rawValue) => ({ header: { key: "x-a", rawValue } }));
    const answer = create(SCHEMA, { response: { case: "requestTrailers", value: { headerMutation: { setHeaders } } } });
    const encoded = encodeDirectly(answer) as EncodedAnswer;
    expect(bytesOf(encoded)).toEqual(toBinary(SCHEMA, answer));
  });

  test.each([
    ["more names than the memory of the writer has room for", new Array<string>(2000).fill("x-name")],
    ["a name that is longer than the memory of the writer", ["n".repeat(9000)]],
  ])("an answer with %s is left to protobuf-es", (_name, removeHeaders) => {
    const answer = create(SCHEMA, {
      response: { case: "requestTrailers", value: { headerMutation: { removeHeaders } } },
    });
    expect(encodeDirectly(answer)).toBeUndefined();
    expect(bytesOf(encodeAnswer(answer))).toEqual(toBinary(SCHEMA, answer));
  });
});
