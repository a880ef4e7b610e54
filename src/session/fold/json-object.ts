import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { refuseLoneSurrogate } from "../../text/escaped-text.ts";

/** As deep as protobuf-es reads a Struct; it also ends the walk through a cycle. */
const MAX_DEPTH = 32;

/** Thrown inside this file only. */
class NotJson extends Error {}

/**
 * A copy of a value as JSON, or, as a string, why it is none. The copy cannot be changed by whoever made the value,
 * so what was checked is what is sent. Properties that are undefined are left out, as in JSON.
 */
export function copyJsonObject(value: unknown): JsonObject | string {
  try {
    if (!isPlainObject(value)) return "must be a plain object";
    return copyObject(value, 0);
  } catch (error) {
    if (error instanceof NotJson) return error.message;
    throw error;
  }
}

function copyObject(value: object, depth: number): JsonObject {
  if (depth > MAX_DEPTH) throw new NotJson(`is nested more than ${MAX_DEPTH} deep`);
  if (!isPlainObject(value)) throw new NotJson("has an object that is not plain");
  const entries: [string, JsonValue][] = [];
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue;
    const problem = refuseLoneSurrogate(key, { escapes: false });
    if (problem !== undefined) throw new NotJson(`has a key that ${problem}`);
    entries.push([key, copyValue(item, depth + 1, key)]);
  }
  // Not by assignment: a key may be `__proto__`.
  return Object.fromEntries(entries);
}

/** @param key Names the nearest member of an object, for an error. */
function copyValue(value: unknown, depth: number, key: string): JsonValue {
  if (value === null || typeof value === "boolean") return value;
  if (typeof value === "string") {
    const problem = refuseLoneSurrogate(value, { escapes: false });
    if (problem !== undefined) throw new NotJson(`has under ${JSON.stringify(key)} a text that ${problem}`);
    return value;
  }
  if (typeof value === "number") {
    if (!Number.isFinite(value)) throw new NotJson("has a number that is not finite");
    return value;
  }
  if (Array.isArray(value)) {
    if (depth > MAX_DEPTH) throw new NotJson(`is nested more than ${MAX_DEPTH} deep`);
    return Array.from(value, (item) => copyValue(item, depth + 1, key));
  }
  if (typeof value === "object") return copyObject(value, depth);
  throw new NotJson(`has a ${typeof value}, which JSON does not have`);
}

function isPlainObject(value: unknown): value is object {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
