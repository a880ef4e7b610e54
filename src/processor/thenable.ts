/** True for a promise, of whatever library or realm: `instanceof Promise` knows those of this one alone. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
