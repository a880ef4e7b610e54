import type { JsonObject } from "@bufbuild/protobuf";
import type { AnswerMetadata } from "../../protocol/answers/answer.ts";

type DynamicMetadata = Record<string, JsonObject>;

/** Dynamic metadata with that of one more namespace, key by key; the later wins. */
export function addNamespace(
  known: Readonly<DynamicMetadata> | undefined,
  namespace: string,
  value: JsonObject,
): DynamicMetadata {
  const before = known !== undefined && Object.hasOwn(known, namespace) ? known[namespace] : undefined;
  // Not by assignment: a namespace may be called `__proto__`.
  return { ...known, [namespace]: { ...before, ...value } };
}

/** Metadata of two answers as one; that of the later wins. */
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
