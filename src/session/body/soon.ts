/** A value that is there, or will be. Synchronous handlers must not cost a promise. */
export type Soon<T> = T | Promise<T>;

/** Goes on with a value, at once where it is there. */
export function after<T, U>(value: Soon<T>, next: (value: T) => Soon<U>): Soon<U> {
  return value instanceof Promise ? value.then(next) : next(value);
}
