/** The properties of a type, each named once: the compiler sees to it that none is missing. */
export type PropertiesOf<T> = { readonly [K in keyof Required<T>]: true };

/**
 * Refuses what is no object, and properties that nobody would read: a misspelled option of a test would make it pass for
 * the wrong reason.
 *
 * @throws {TypeError} Naming the property and those there are.
 */
export function checkProperties(where: string, value: unknown, known: Readonly<Record<string, true>>): void {
  if (typeof value !== "object" || value === null) {
    throw new TypeError(`${where}: is ${value === null ? "null" : typeof value}, must be an object`);
  }
  for (const property of Object.keys(value)) {
    if (Object.hasOwn(known, property)) continue;
    throw new TypeError(`${where}.${property}: no such property; there are ${Object.keys(known).join(", ")}`);
  }
}
