import { clone, create, equals, fromBinary, fromJson, type JsonObject, toBinary, toJson } from "@bufbuild/protobuf";
import { BinaryWriter, WireType } from "@bufbuild/protobuf/wire";
import { describe, expect, test } from "vitest";
import { HeaderValueSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import { ProcessingMode_BodySendMode } from "../../gen/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js";
import {
  ProcessingRequestSchema,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import { HttpStatusSchema } from "../../gen/envoy/type/v3/http_status_pb.js";
import { file_extproc_debug_v1_debug } from "../../gen/extproc/debug/v1/debug_pb.js";
import { mirroredFiles } from "./descriptor-table.mjs";
import { sampleRegistry as registry, sampleMessage } from "./sample-json.ts";

const messages = [...mirroredFiles, file_extproc_debug_v1_debug].flatMap((file) =>
  file.messages.flatMap((message) => [message, ...message.nestedMessages]),
);

const cases = messages.flatMap((desc) => {
  const members = Math.max(1, ...desc.oneofs.map((oneof) => oneof.fields.length));
  return Array.from({ length: members }, (_, member) => {
    const chosen = desc.oneofs.map((oneof) => `.${oneof.fields[member]?.name}`).join("");
    return { title: `${desc.typeName}${chosen}`, desc, member };
  });
});

describe("JSON of every message", () => {
  test.each(cases)("$title: canonical names parse, print and survive the wire", ({ desc, member }) => {
    const canonical = sampleMessage(desc, (field) => field.jsonName, member);
    const parsed = fromJson(desc, canonical, { registry });
    expect(toJson(desc, parsed, { registry })).toEqual(canonical);
    expect(equals(desc, fromBinary(desc, toBinary(desc, parsed)), parsed)).toBe(true);
  });

  test.each(cases)("$title: the names of the .proto file parse too", ({ desc, member }) => {
    const canonical = sampleMessage(desc, (field) => field.jsonName, member);
    const protoNames = sampleMessage(desc, (field) => field.name, member);
    const parsed = fromJson(desc, protoNames, { registry });
    expect(toJson(desc, parsed, { registry })).toEqual(canonical);
    expect(toJson(desc, parsed, { registry, useProtoFieldName: true })).toEqual(protoNames);
  });
});

describe("JSON as a person writes it", () => {
  test("a request is parsed with rawValue in base64, endOfStream, attributes and modes by name", () => {
    const request = fromJson(ProcessingRequestSchema, {
      requestHeaders: {
        headers: {
          headers: [
            { key: ":path", rawValue: "L2FiYw==" },
            { key: "x-a", value: "b" },
          ],
        },
        endOfStream: true,
      },
      attributes: { "envoy.filters.http.ext_proc": { "source.address": "10.0.0.1:5000", "request.size": 3 } },
      protocolConfig: { requestBodyMode: "FULL_DUPLEX_STREAMED" },
    });
    expect(request.request).toMatchObject({
      case: "requestHeaders",
      value: {
        endOfStream: true,
        headers: {
          headers: [
            { key: ":path", rawValue: new TextEncoder().encode("/abc") },
            { key: "x-a", value: "b" },
          ],
        },
      },
    });
    expect(request.attributes).toEqual({
      "envoy.filters.http.ext_proc": { "source.address": "10.0.0.1:5000", "request.size": 3 },
    });
    expect(request.protocolConfig?.requestBodyMode).toBe(ProcessingMode_BodySendMode.FULL_DUPLEX_STREAMED);
  });

  test("a response prints bytes in base64, a struct as plain JSON and leaves defaults out", () => {
    const response = create(ProcessingResponseSchema, {
      response: {
        case: "requestBody",
        value: { response: { bodyMutation: { mutation: { case: "body", value: new Uint8Array() } } } },
      },
      dynamicMetadata: { "my.namespace": { user: "ann", tries: 2 } },
    });
    expect(toJson(ProcessingResponseSchema, response)).toEqual({
      requestBody: { response: { bodyMutation: { body: "" } } },
      dynamicMetadata: { "my.namespace": { user: "ann", tries: 2 } },
    });
  });

  test("an empty member of the oneof differs from a missing member", () => {
    const neutral = fromJson(ProcessingResponseSchema, { requestHeaders: {} });
    expect(neutral.response.case).toBe("requestHeaders");
    expect(toJson(ProcessingResponseSchema, neutral)).toEqual({ requestHeaders: {} });
    expect(toJson(ProcessingResponseSchema, fromJson(ProcessingResponseSchema, {}))).toEqual({});
  });

  test("a header value that is not UTF-8 stays unchanged in JSON", () => {
    const rawValue = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const header = create(HeaderValueSchema, { key: "x-bytes", rawValue });
    const json = toJson(HeaderValueSchema, header) as JsonObject;
    expect(json).toHaveProperty("rawValue", Buffer.from(rawValue).toString("base64"));
    expect(fromJson(HeaderValueSchema, json).rawValue).toEqual(rawValue);
  });
});

describe("what this release does not know", () => {
  test("an unknown field survives the wire, and leaves the oneof unset", () => {
    const future = new BinaryWriter().tag(99, WireType.LengthDelimited).string("from the future").finish();
    const request = fromBinary(ProcessingRequestSchema, future);
    expect(request.request.case).toBeUndefined();
    expect(toBinary(ProcessingRequestSchema, request)).toEqual(future);
    expect(toBinary(ProcessingRequestSchema, clone(ProcessingRequestSchema, request))).toEqual(future);
  });

  test("an unknown field inside a known message survives the wire", () => {
    const header = new BinaryWriter().tag(1, WireType.LengthDelimited).string("x-a").tag(77, WireType.Varint).uint32(5);
    const map = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(header.finish());
    const headers = new BinaryWriter().tag(1, WireType.LengthDelimited).bytes(map.finish());
    const bytes = new BinaryWriter().tag(2, WireType.LengthDelimited).bytes(headers.finish()).finish();
    const request = fromBinary(ProcessingRequestSchema, bytes);
    expect(request.request.case).toBe("requestHeaders");
    expect(toBinary(ProcessingRequestSchema, request)).toEqual(bytes);
  });

  test("an unknown enum number survives on the wire and in JSON", () => {
    const bytes = new BinaryWriter().tag(1, WireType.Varint).int32(418).finish();
    const status = fromBinary(HttpStatusSchema, bytes);
    expect(status.code).toBe(418);
    expect(toBinary(HttpStatusSchema, status)).toEqual(bytes);
    expect(toJson(HttpStatusSchema, status)).toEqual({ code: 418 });
    expect(fromJson(HttpStatusSchema, { code: 418 }).code).toBe(418);
  });

  test("an unknown body mode is parsed as a number, and parsing does not fail", () => {
    const request = fromJson(ProcessingRequestSchema, { protocolConfig: { requestBodyMode: 6 } });
    const again = fromBinary(ProcessingRequestSchema, toBinary(ProcessingRequestSchema, request));
    expect(again.protocolConfig?.requestBodyMode).toBe(6);
  });
});
