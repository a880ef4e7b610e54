import { type DescField, type DescMessage, fromJson, type JsonValue, type MessageShape } from "@bufbuild/protobuf";
import type { Problem } from "../text/problem.ts";
import { nameKind } from "../text/value-kind.ts";

/** Deepest nesting of a value, the same as in protobuf-es. */
const MAX_DEPTH = 100;

/** The message that a value is in JSON. A problem begins with its path, as that of {@link refuseJson}. */
export function messageOfJson<D extends DescMessage>(schema: D, value: unknown): MessageShape<D> | Problem {
  try {
    return fromJson(schema, value as JsonValue);
  } catch (error) {
    return { problem: locate(schema, value, "") ?? shortened(error) };
  }
}

/**
 * Says why a value is not this message in JSON, as one line that begins with the path to the problem:
 * `request.headers: …`. Undefined if it is. protobuf-es decides; this function finds the place.
 */
export function refuseJson(schema: DescMessage, value: unknown): string | undefined {
  const problem = errorOf(schema, value as JsonValue);
  return problem === undefined ? undefined : (locate(schema, value, "") ?? problem);
}

function locate(schema: DescMessage, value: unknown, path: string, depth = 0): string | undefined {
  const problem = errorOf(schema, value as JsonValue);
  if (problem === undefined) return undefined;
  if (depth > MAX_DEPTH) return `${at(path)}is nested too deeply`;
  // Well-known types have a special form in JSON.
  if (schema.file.proto.package === "google.protobuf") return `${at(path)}${problem}`;
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    return `${at(path)}expected an object, got ${nameKind(value)}`;
  }
  for (const [key, item] of Object.entries(value)) {
    const field = schema.fields.find(({ name, jsonName }) => name === key || jsonName === key);
    const place = path === "" ? key : `${path}.${key}`;
    if (field === undefined) {
      return `${place}: no such field; known fields are ${schema.fields.map(({ jsonName }) => jsonName).join(", ")}`;
    }
    const found = locateInField(schema, field, { key, item, place, depth });
    if (found !== undefined) return found;
  }
  return `${at(path)}${problem}`;
}

interface Place {
  readonly key: string;
  readonly item: unknown;
  readonly place: string;
  readonly depth: number;
}

function locateInField(schema: DescMessage, field: DescField, { key, item, place, depth }: Place): string | undefined {
  const problem = errorOf(schema, { [key]: item } as JsonValue);
  if (problem === undefined) return undefined;
  if (field.fieldKind === "message") return locate(field.message, item, place, depth + 1) ?? `${place}: ${problem}`;
  if (field.fieldKind === "list" && Array.isArray(item)) {
    for (const [index, element] of item.entries()) {
      const found = locateInElement(schema, field, { key, item: element, place: `${place}[${index}]`, depth });
      if (found !== undefined) return found;
    }
  }
  if (field.fieldKind === "map" && typeof item === "object" && item !== null && !Array.isArray(item)) {
    for (const [name, entry] of Object.entries(item)) {
      const wrong = errorOf(schema, { [key]: { [name]: entry } } as JsonValue);
      const inside = field.mapKind === "message" ? locate(field.message, entry, `${place}.${name}`, depth + 1) : wrong;
      if (wrong !== undefined) return inside?.startsWith(place) ? inside : `${place}.${name}: ${wrong}`;
    }
  }
  return `${place}: ${enumProblem(field, item) ?? problem}`;
}

function enumProblem({ enum: type }: DescField, item: unknown): string | undefined {
  return (
    type &&
    `expected one of ${type.values.map(({ name }) => name).join(", ")}, got ${JSON.stringify(item)?.slice(0, 80)}`
  );
}

function locateInElement(
  schema: DescMessage,
  field: DescField,
  { key, item, place, depth }: Place,
): string | undefined {
  if (field.message) return locate(field.message, item, place, depth + 1);
  const problem = errorOf(schema, { [key]: [item] } as JsonValue);
  return problem === undefined ? undefined : `${place}: ${problem}`;
}

function errorOf(schema: DescMessage, value: JsonValue): string | undefined {
  try {
    fromJson(schema, value);
    return undefined;
  } catch (error) {
    return shortened(error);
  }
}

/** The text of an error of protobuf-es, without the names of its own types. */
function shortened(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message
    .replace(/^cannot decode (?:field|message) (?:google\.protobuf\.(?=Value))?[\w.]* ?from JSON:? /, "")
    .replace(/^(?:list item #\d+|map entry "[^"]*"): /, "")
    .replace(/\s+/g, " ");
}

function at(path: string): string {
  return path === "" ? "" : `${path}: `;
}
