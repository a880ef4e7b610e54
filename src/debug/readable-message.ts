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

/** Fields with free data, in which `body` is an ordinary name. */
const DATA = new Set(["attributes", "metadataContext", "dynamicMetadata", "typedDynamicMetadata"]);

/** A message as readable JSON: header values and bodies are text if they are UTF-8, and under `…Base64` if not. */
export function readableMessage(message: ProcessingRequest | ProcessingResponse): JsonObject {
  return readableJson(messageJson(message)) as JsonObject;
}

/** Like {@link readableMessage}, for messages that are JSON already. Readable values stay the same. */
export function readableJson(json: JsonValue): JsonValue {
  if (Array.isArray(json)) return json.map(readableJson);
  if (typeof json !== "object" || json === null) return json;
  const entries = Object.entries(json).map(([name, value]): readonly [string, JsonValue] => {
    if (DATA.has(name)) return [name, value];
    if (typeof value !== "string") return [name, readableJson(value)];
    if (name === "rawValue") return readableBytes("value", value);
    return name === "body" ? readableBytes("body", value) : [name, value];
  });
  // An empty raw_value is not written in JSON, but an empty header should not look like a header without a value.
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
  // An Any can be written as JSON only if its type is known, and foreign types are not known here.
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
