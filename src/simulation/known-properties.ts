/** The properties of a type, each named once. The compiler requires all of them. */
export type PropertiesOf<T> = { readonly [K in keyof Required<T>]: true };

/**
 * Rejects a value that is not an object, and unknown properties: a misspelled option of a test would make the test pass
 * for the wrong reason.
 *
 * @throws {TypeError} Names the property and the valid ones.
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
