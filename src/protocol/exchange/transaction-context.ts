import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import type { Metadata } from "../../../gen/envoy/config/core/v3/base_pb.js";
import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";
import type { Direction } from "../phase.ts";

/** What Envoy sends in addition to the phases of one transaction: attributes and dynamic metadata. */
export class TransactionContext {
  #ofRequest: ProcessingRequest["attributes"] | undefined;
  #ofResponse: ProcessingRequest["attributes"] | undefined;
  #metadata: Metadata | undefined;

  /** Takes what came with a phase. Metadata replaces the earlier metadata: Envoy sends all of it each time. */
  remember({ attributes, metadataContext }: ProcessingRequest, direction: Direction): void {
    if (!isEmpty(attributes)) {
      if (direction === "request") this.#ofRequest = attributes;
      else this.#ofResponse = attributes;
    }
    if (metadataContext === undefined) return;
    this.#metadata = metadataContext;
    // These bytes lie in the message's own, which may be written over once a piece of a body is answered.
    const { typedFilterMetadata } = metadataContext;
    if (isEmpty(typedFilterMetadata)) return;
    for (const any of Object.values(typedFilterMetadata)) any.value = any.value.slice();
  }

  /** An attribute. Envoy sends each once per direction, with the first message; the value of the response is the later one. */
  attribute(name: string): JsonValue | undefined {
    return findAttribute(this.#ofResponse, name) ?? findAttribute(this.#ofRequest, name);
  }

  /** Dynamic metadata of a namespace. */
  metadata(namespace: string): JsonObject | undefined {
    return ownValue(this.#metadata?.filterMetadata, namespace);
  }

  /** Typed dynamic metadata of a namespace. */
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

/** One attribute. Envoy has one group, `envoy.filters.http.ext_proc`; an extension of its own may name others. */
export function findAttribute(attributes: Attributes | undefined, name: string): JsonValue | undefined {
  for (const group in attributes) {
    const value = ownValue(attributes[group], name);
    if (value !== undefined) return value;
  }
  return undefined;
}

/** A value by its name, which may come from a processor's own input: `constructor` is not an attribute. */
export function ownValue<T>(values: Readonly<Record<string, T>> | undefined, name: string): T | undefined {
  return values !== undefined && Object.hasOwn(values, name) ? values[name] : undefined;
}
