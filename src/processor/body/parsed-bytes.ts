/** What an object of V8 takes before it has a property, with the place that refers to it. */
const OBJECT_BYTES = 64;
/** A property, and the share of its name. */
const PROPERTY_BYTES = 16;
/** A view of bytes; the bytes themselves are counted elsewhere. */
const VIEW_BYTES = 104;
const SCALAR_BYTES = 24;

/** About how many bytes of memory a parsed protobuf message takes, without the bytes that it was parsed from. */
export function parsedMessageBytes(value: unknown): number {
  if (typeof value === "string") return SCALAR_BYTES + 2 * value.length;
  if (typeof value !== "object" || value === null) return SCALAR_BYTES;
  if (ArrayBuffer.isView(value)) return VIEW_BYTES;
  let bytes = OBJECT_BYTES;
  for (const item of Array.isArray(value) ? value : Object.values(value))
    bytes += PROPERTY_BYTES + parsedMessageBytes(item);
  return bytes;
}
