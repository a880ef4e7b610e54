import { defineProcessor, replaceJson } from "ext-proc";

/** Fields that clients must not see, at any depth. */
const PRIVATE = new Set(["password", "passwordHash", "internalId"]);

/** @param {string | undefined} type */
const isJson = (type) => /^application\/(?:[^;]*\+)?json\b/i.test(type ?? "");

export default defineProcessor({
  name: "json-rewrite",
  requestBody: {
    read: "json",
    maxBytes: 1 << 20,
    when: (tx) => isJson(tx.request.get("content-type")),
    handle(value) {
      // The upstream knows only the new name. A body without this field stays the same byte for byte.
      if (!isObject(value) || !Object.hasOwn(value, "userName")) return undefined;
      const { userName, ...others } = value;
      return replaceJson({ name: userName, ...others });
    },
  },
  responseBody: {
    read: "json",
    maxBytes: 4 << 20,
    when: (tx) => isJson(tx.response?.get("content-type")),
    handle: (value) => replaceJson(withoutPrivate(value)),
  },
});

/**
 * @param {unknown} value
 * @returns {unknown}
 */
function withoutPrivate(value) {
  if (Array.isArray(value)) return value.map(withoutPrivate);
  if (!isObject(value)) return value;
  const entries = Object.entries(value).filter(([name]) => !PRIVATE.has(name));
  return Object.fromEntries(entries.map(([name, field]) => [name, withoutPrivate(field)]));
}

/**
 * @param {unknown} value
 * @returns {value is Readonly<Record<string, unknown>>}
 */
function isObject(value) {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
