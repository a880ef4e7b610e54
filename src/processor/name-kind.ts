/** What sort of value something is, for a message: never the value. */
export function nameKind(value: unknown): string {
  if (value === null) return "null";
  if (Array.isArray(value)) return "an array inside an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
