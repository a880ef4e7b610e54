import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Metadata } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Direction } from "../phase.ts";

/** Keeps what Envoy sends in addition to the phases of one transaction: attributes and dynamic metadata. */
export class TransactionContext {
  #ofRequest: ProcessingRequest["attributes"] | undefined;
  #ofResponse: ProcessingRequest["attributes"] | undefined;
  #metadata: Metadata | undefined;

  /** Takes what came with a phase. New metadata replaces the old, because Envoy sends all of it each time. */
  remember({ attributes, metadataContext }: ProcessingRequest, direction: Direction): void {
    if (!isEmpty(attributes)) {
      if (direction === "request") this.#ofRequest = attributes;
      else this.#ofResponse = attributes;
    }
    if (metadataContext === undefined) return;
    this.#metadata = metadataContext;
    // These bytes are part of the message's memory, which may be reused after a piece of a body is answered.
    const { typedFilterMetadata } = metadataContext;
    if (isEmpty(typedFilterMetadata)) return;
    for (const any of Object.values(typedFilterMetadata)) any.value = any.value.slice();
  }

  /**
   * Returns an attribute. Envoy sends each attribute once per direction, with the first message. The value of the
   * response is newer.
   */
  attribute(name: string): JsonValue | undefined {
    return findAttribute(this.#ofResponse, name) ?? findAttribute(this.#ofRequest, name);
  }

  /** Returns the dynamic metadata of a namespace. */
  metadata(namespace: string): JsonObject | undefined {
    return ownValue(this.#metadata?.filterMetadata, namespace);
  }

  /** Returns the typed dynamic metadata of a namespace. */
  typedMetadata(namespace: string): Any | undefined {
    return ownValue(this.#metadata?.typedFilterMetadata, namespace);
  }
}

type Attributes = ProcessingRequest["attributes"];

/** True for a map without entries. */
export function isEmpty(values: object): boolean {
  for (const _name in values) return false;
  return true;
}

/**
 * Returns one attribute. Envoy has one group, `envoy.filters.http.ext_proc`. An extension of Envoy may have other
 * groups.
 */
export function findAttribute(attributes: Attributes | undefined, name: string): JsonValue | undefined {
  for (const group in attributes) {
    const value = ownValue(attributes[group], name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** Returns an own property. The name may come from a processor's own input, and `constructor` is not an attribute. */
export function ownValue<T>(values: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}
