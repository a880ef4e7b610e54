import type { JsonValue } from "@bufbuild/protobuf";
import type { ProcessingRequest } from "../../../gen/envoy/service/ext_proc/v3/external_processor_pb.js";

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
