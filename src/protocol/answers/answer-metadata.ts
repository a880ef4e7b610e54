import type { JsonObject } from "@bufbuild/protobuf";
import type { AnswerMetadata } from "./answer.ts";

type DynamicMetadata = Record<string, JsonObject>;

/** Adds the dynamic metadata of one namespace, key by key. A later value wins. */
export function addNamespace(
  known: Readonly<DynamicMetadata> | undefined,
  namespace: string,
  value: JsonObject,
): DynamicMetadata {
  const before = known !== undefined && Object.hasOwn(known, namespace) ? known[namespace] : undefined;
  // Not by assignment, because a namespace may be called `__proto__`.
  return { ...known, [namespace]: { ...before, ...value } };
}

/** Merges the metadata of two answers. The later value wins. */
export function mergeMetadata(first: AnswerMetadata, second: AnswerMetadata): AnswerMetadata {
  let { dynamicMetadata } = first;
  for (const [namespace, value] of Object.entries(second.dynamicMetadata ?? {}))
    dynamicMetadata = addNamespace(dynamicMetadata, namespace, value);
  const typed = first.typedDynamicMetadata ?? second.typedDynamicMetadata;
  return {
    ...(dynamicMetadata && { dynamicMetadata }),
    ...(typed && { typedDynamicMetadata: { ...first.typedDynamicMetadata, ...second.typedDynamicMetadata } }),
  };
}
