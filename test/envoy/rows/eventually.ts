import { vi } from "vitest";

/** Longest that anything here takes on a slow machine, unless a test knows better. */
const PATIENCE_MS = 8_000;

/** Tries assertions until they hold; then, or in the end, theirs is the outcome. */
export function eventually<T>(assertions: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(assertions, { timeout: PATIENCE_MS, interval: 25 });
}
