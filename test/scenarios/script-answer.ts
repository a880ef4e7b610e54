import { createRegistry, type JsonValue } from "@bufbuild/protobuf";
import { StringValueSchema, StructSchema } from "@bufbuild/protobuf/wkt";
import { type ScriptBytes, scriptBytes } from "./script-bytes.ts";

/** Types that `typedDynamicMetadata` of a script may hold. */
export const scriptRegistry = createRegistry(StructSchema, StringValueSchema);

/** Fields of bytes in a ProcessingResponse. */
const BYTES_FIELDS = new Set(["rawValue", "raw_value", "body"]);

/** A ProcessingResponse as a script writes it, in plain proto JSON. */
export function expandAnswer(written: JsonValue): JsonValue {
  if (Array.isArray(written)) return written.flatMap(expandElement);
  if (typeof written !== "object" || written === null) return written;
  const fields = Object.entries(written).map(([name, value]): [string, JsonValue] => [
    name,
    BYTES_FIELDS.has(name) ? base64(value as ScriptBytes) : expandAnswer(value),
  ]);
  return Object.fromEntries(fields);
}

function expandElement(element: JsonValue): JsonValue[] {
  if (typeof element === "object" && element !== null && !Array.isArray(element)) {
    const { times, item } = element;
    if (typeof times === "number" && item !== undefined) {
      return Array.from({ length: times }, (_, index) => expandAnswer(numbered(item, index)));
    }
  }
  return [expandAnswer(element)];
}

function numbered(item: JsonValue, index: number): JsonValue {
  return JSON.parse(JSON.stringify(item).replaceAll("#", String(index))) as JsonValue;
}

function base64(written: ScriptBytes): string {
  return Buffer.from(scriptBytes(written)).toString("base64");
}
