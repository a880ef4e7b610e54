/** The value at a place in nested maps; undefined if there is none. */
export function givenIn(values: unknown, place: readonly string[]): unknown {
  return place.reduce((at, name) => (at as Record<string, unknown> | undefined)?.[name], values);
}

/** Puts a value at a place in nested maps, and makes the maps that it needs. */
export function placeIn(values: Record<string, unknown>, place: readonly string[], value: unknown): void {
  const [name = "", ...inner] = place;
  if (inner.length === 0) {
    values[name] = value;
    return;
  }
  values[name] ??= {};
  placeIn(values[name] as Record<string, unknown>, inner, value);
}
