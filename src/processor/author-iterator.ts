import { nameKind } from "../text/value-kind.ts";

/**
 * Checks the result of an author's iterator, as `for await` does. A result that is not an object has no `done`, so a
 * loop over such results would never end.
 *
 * @throws TypeError If the result is not an object.
 */
export function iteratorResult(result: unknown): IteratorResult<unknown, unknown> {
  if ((typeof result === "object" && result !== null) || typeof result === "function")
    return result as IteratorResult<unknown, unknown>;
  throw new TypeError(`the iterator's next() returned ${nameKind(result)}, must be an object with done and value`);
}

/** Ends an author's iterator early, if it has a `return()`. The end is not awaited, and its failure is not reported. */
export function endIteration(iterator: AsyncIterator<unknown>): void {
  const end = async () => iterator.return?.();
  end().catch(() => undefined);
}
