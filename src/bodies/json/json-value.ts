import { JsonNode, KIND } from "./json-node.ts";

/** A container whose items are being read. */
interface Open {
  readonly node: JsonNode;
  readonly source: object;
  /** Names of the members; undefined for an array. */
  readonly names: readonly string[] | undefined;
  readonly length: number;
  next: number;
}

/**
 * Reads a value as `JSON.stringify` does: `toJSON`, own enumerable properties, no functions and no `undefined`.
 * Numbers that JSON lacks stay unchanged. Undefined if JSON has no text for the value. It takes no stack for the
 * depth of the value.
 *
 * @throws {TypeError} For a bigint, or a value that contains itself.
 */
export function readJsonValue(value: unknown): JsonNode | undefined {
  const stack: Open[] = [];
  const sources = new Set<object>();
  const enter = (raw: unknown, key: string | number): JsonNode | undefined => {
    const plain = typeof raw === "object" || typeof raw === "bigint" ? jsonValue(raw, key) : raw;
    const node = nodeOf(plain);
    if (node === undefined || node.kind > KIND.array) return node;
    const source = plain as object;
    if (sources.has(source)) throw new TypeError("the value contains itself");
    sources.add(source);
    const names = node.kind === KIND.object ? Object.keys(source) : undefined;
    stack.push({ node, source, names, length: names?.length ?? (source as unknown[]).length, next: 0 });
    return node;
  };
  const root = enter(value, "");
  for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
    const { node, source, names, length } = top;
    const depth = stack.length;
    while (top.next < length && stack.length === depth) {
      const at = top.next++;
      const name = names?.[at];
      if (name === undefined) {
        node.items.push(enter((source as readonly unknown[])[at], at) ?? JsonNode.leaf(KIND.literal, null));
        continue;
      }
      const item = enter((source as Readonly<Record<string, unknown>>)[name], name);
      if (item === undefined) continue;
      node.keys.push(name);
      node.items.push(item);
    }
    if (stack.length > depth) continue;
    node.seal();
    sources.delete(source);
    stack.pop();
  }
  return root;
}

/** The value that is written for a value. */
function jsonValue(value: object | bigint | null, key: string | number): unknown {
  if (value === null) return null;
  const { toJSON } = value as { readonly toJSON?: unknown };
  const plain: unknown = typeof toJSON === "function" ? toJSON.call(value, String(key)) : value;
  if (plain instanceof Number) return Number(plain);
  if (plain instanceof String) return String(plain);
  return plain instanceof Boolean || plain instanceof BigInt ? plain.valueOf() : plain;
}

function nodeOf(value: unknown): JsonNode | undefined {
  switch (typeof value) {
    case "string":
      return JsonNode.leaf(KIND.string, value);
    case "number":
      return Number.isNaN(value) ? JsonNode.leaf(KIND.literal, null) : JsonNode.leaf(KIND.number, value);
    case "boolean":
      return JsonNode.leaf(KIND.literal, value);
    case "object":
      if (value === null) return JsonNode.leaf(KIND.literal, null);
      return JsonNode.container(Array.isArray(value) ? KIND.array : KIND.object);
    case "bigint":
      throw new TypeError("JSON has no text for a bigint");
    default:
      return undefined;
  }
}
