import { nameKind } from "../text/name-kind.ts";

/**
 * What an author's iterator gave, checked as `for await` checks it: a result that is not an object has no `done`, so a loop
 * over such results never ends.
 *
 * @throws TypeError If the result is not an object.
 */
export function iteratorResult(result: unknown): IteratorResult<unknown, unknown> {
  if ((typeof result === "object" && result !== null) || typeof result === "function")
    return result as IteratorResult<unknown, unknown>;
  throw new TypeError(`the iterator's next() gave ${nameKind(result)}, must be an object with done and value`);
}

/** Ends an author's iterator early, if it has a way to end. Nothing waits for the end, and its failure is not reported. */
export function endIteration(iterator: AsyncIterator<unknown>): void {
  const end = async () => iterator.return?.();
  end().catch(() => undefined);
}
