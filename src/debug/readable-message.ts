import { type JsonObject, type JsonValue, toJson } from "@bufbuild/protobuf";
import { base64Decode } from "@bufbuild/protobuf/wire";
import type { Any } from "@bufbuild/protobuf/wkt";
import {
  type ProcessingRequest,
  ProcessingRequestSchema,
  type ProcessingResponse,
  ProcessingResponseSchema,
} from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Fields whose values are data of their own, in which `body` is a name like any other. */
const DATA = new Set(["attributes", "metadataContext", "dynamicMetadata", "typedDynamicMetadata"]);

/** A message as JSON for people: header values and bodies as text where they are UTF-8, else under `…Base64`. */
export function readableMessage(message: ProcessingRequest | ProcessingResponse): JsonObject {
  return readableJson(messageJson(message)) as JsonObject;
}

/** The same of a message, or of several, in JSON already. What is readable stays as it is. */
export function readableJson(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(readableJson);
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json).map(([name, value]): readonly [string, JsonValue] => {
    if (DATA.has(name)) return [name, value];
    if (typeof value !== "string") return [name, readableJson(value)];
    if (name === "rawValue") return readableBytes("value", value);
    return name === "body" ? readableBytes("body", value) : [name, value];
  });
  // An empty raw_value is not written, and an empty header should not look like one without a value.
  const isHeader = Object.hasOwn(json, "key") && !entries.some(([name]) => name.startsWith("value"));
  return Object.fromEntries(isHeader ? [...entries, ["value", ""]] : entries);
}

function readableBytes(name: string, base64: string): readonly [string, string] {
  try {
    return [name, strictUtf8.decode(base64Decode(base64))];
  } catch {
    return [`${name}Base64`, base64];
  }
}

function messageJson(message: ProcessingRequest | ProcessingResponse): JsonObject {
  // An Any needs its type to be written as JSON, and types of others are not known here.
  if (message.$typeName === "envoy.service.ext_proc.v3.ProcessingRequest") {
    const { metadataContext } = message;
    const typed = metadataContext?.typedFilterMetadata ?? {};
    if (metadataContext === undefined || Object.keys(typed).length === 0) {
      return toJson(ProcessingRequestSchema, message) as JsonObject;
    }
    const untyped = { ...message, metadataContext: { ...metadataContext, typedFilterMetadata: {} } };
    const json = toJson(ProcessingRequestSchema, untyped) as JsonObject;
    return {
      ...json,
      metadataContext: { ...(json.metadataContext as JsonObject), typedFilterMetadata: typeNames(typed) },
    };
  }
  const { typedDynamicMetadata } = message;
  if (Object.keys(typedDynamicMetadata).length === 0) return toJson(ProcessingResponseSchema, message) as JsonObject;
  const json = toJson(ProcessingResponseSchema, { ...message, typedDynamicMetadata: {} }) as JsonObject;
  return { ...json, typedDynamicMetadata: typeNames(typedDynamicMetadata) };
}

function typeNames(values: Readonly<Record<string, Any>>): JsonObject {
  return Object.fromEntries(Object.entries(values).map(([name, { typeUrl }]) => [name, { "@type": typeUrl }]));
}
