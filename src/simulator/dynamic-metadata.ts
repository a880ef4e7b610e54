import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Metadata, MetadataSchema } from "../../gen/envoy/config/core/v3/base_pb.js";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { NamespaceLists } from "./filter-config.ts";

/** A typed value: the URL of its type, and its bytes. */
export interface TypedValue {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** Dynamic metadata of a transaction, by namespace. Values come from filters before this one, and from the server. */
export class DynamicMetadata {
  readonly #untyped: Map<string, JsonObject>;
  readonly #typed = new Map<string, TypedValue>();

  constructor(initial: Readonly<Record<string, JsonObject>> = {}) {
    this.#untyped = new Map(Object.entries(initial));
  }

  get untyped(): Readonly<Record<string, JsonObject>> {
    return Object.fromEntries(this.#untyped);
  }

  get typed(): Readonly<Record<string, TypedValue>> {
    return Object.fromEntries(this.#typed);
  }

  /** What the server is told: the namespaces configured for it, as far as they exist. */
  forwarded(namespaces: NamespaceLists): Metadata {
    const metadata = create(MetadataSchema);
    for (const namespace of namespaces.untyped) {
      const value = this.#untyped.get(namespace);
      if (value !== undefined) metadata.filterMetadata[namespace] = value;
    }
    return metadata;
  }

  /** Takes what the server sets, of the namespaces it may set. Returns those it may not. */
  receive(response: ProcessingResponse, allowed: NamespaceLists, takesTyped: boolean): readonly string[] {
    const dropped: string[] = [];
    for (const [namespace, value] of Object.entries(response.dynamicMetadata ?? {})) {
      if (allowed.untyped.includes(namespace)) this.#merge(namespace, value);
      else dropped.push(namespace);
    }
    for (const [namespace, { typeUrl, value }] of Object.entries(response.typedDynamicMetadata)) {
      if (takesTyped && allowed.typed.includes(namespace)) this.#typed.set(namespace, { typeUrl, value });
      else dropped.push(namespace);
    }
    return dropped;
  }

  #merge(namespace: string, value: JsonValue): void {
    // What is no object counts as an empty one.
    this.#untyped.set(namespace, mergedStruct(this.#untyped.get(namespace), isObject(value) ? value : {}));
  }
}

/** Envoy's merge of Structs: objects field by field, lists one after the other, anything else the newer one. */
function mergedStruct(older: JsonObject = {}, newer: JsonObject): JsonObject {
  const merged: JsonObject = { ...older };
  for (const [name, value] of Object.entries(newer)) {
    const known = merged[name];
    if (isObject(known) && isObject(value)) merged[name] = mergedStruct(known, value);
    else if (Array.isArray(known) && Array.isArray(value)) merged[name] = [...known, ...value];
    else merged[name] = value;
  }
  return merged;
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
