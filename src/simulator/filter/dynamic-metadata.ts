import { create, type JsonObject, type JsonValue } from "@bufbuild/protobuf";
import { type Metadata, MetadataSchema } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { ProcessingResponse } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { WarningCode } from "../report/warnings.ts";
import type { NamespaceLists } from "../settings/filter-config.ts";

/** A typed value: the URL of its type, and its bytes. */
export interface TypedValue {
  readonly typeUrl: string;
  readonly value: Uint8Array;
}

/** A namespace whose values Envoy does not accept from the server, and the code of the warning about it. */
export interface DroppedNamespace {
  readonly namespace: string;
  readonly code: WarningCode;
}

/** Dynamic metadata of a transaction, by namespace. Values come from earlier filters and from the server. */
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

  /** Returns the metadata that the server gets: the namespaces that are configured for it and exist. */
  forwarded(namespaces: NamespaceLists): Metadata {
    return create(MetadataSchema, {
      filterMetadata: pick(this.#untyped, namespaces.untyped),
      typedFilterMetadata: pick(this.#typed, namespaces.typed),
    });
  }

  /**
   * Sets the metadata of an answer, in the namespaces that the server may set. Returns the other namespaces, with the
   * reason.
   */
  receive(response: ProcessingResponse, allowed: NamespaceLists, takesTyped: boolean): readonly DroppedNamespace[] {
    const dropped: DroppedNamespace[] = [];
    for (const [namespace, value] of Object.entries(response.dynamicMetadata ?? {})) {
      if (allowed.untyped.includes(namespace)) this.#merge(namespace, value);
      else dropped.push({ namespace, code: "dynamic_metadata_dropped" });
    }
    for (const [namespace, { typeUrl, value }] of Object.entries(response.typedDynamicMetadata)) {
      if (!takesTyped) dropped.push({ namespace, code: "typed_metadata_unsupported" });
      else if (allowed.typed.includes(namespace)) this.#typed.set(namespace, { typeUrl, value });
      else dropped.push({ namespace, code: "dynamic_metadata_dropped" });
    }
    return dropped;
  }

  #merge(namespace: string, value: JsonValue): void {
    // A value that is not an object counts as an empty object. Only the top level is merged, as in protobuf's maps.
    this.#untyped.set(namespace, { ...this.#untyped.get(namespace), ...(isObject(value) ? value : {}) });
  }
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function pick<T>(values: ReadonlyMap<string, T>, names: readonly string[]): Record<string, T> {
  const picked: Record<string, T> = {};
  for (const name of names) {
    const value = values.get(name);
    if (value !== undefined) picked[name] = value;
  }
  return picked;
}
