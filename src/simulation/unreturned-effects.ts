import type { AsyncLocalStorage } from "node:async_hooks";
import { type EffectWatch, effectData, effectWatch } from "../processor/effect.ts";
import type { Warning } from "../simulator/report/report.ts";

/** Effects of one transaction that no handler has returned, with the place in the code that made each one. */
type Unreturned = Map<object, Place>;

/** An error whose stack is created when it is read. That takes long and is seldom needed. */
interface Place {
  readonly stack?: string;
}

/**
 * The number of stack frames: the functions of this package that make an effect, and the line that calls them. V8 takes
 * longer for each additional frame.
 */
const PLACE_FRAMES = 4;

/** Created for the first transaction, so that the module is loaded only if it is needed. */
let storage: AsyncLocalStorage<Unreturned> | undefined;
let watched = 0;
let stopsSoon = false;

const WATCH: EffectWatch = {
  made: (effect) => storage?.getStore()?.set(effect, placeInCode()),
  returned(value) {
    const unreturned = storage?.getStore();
    if (unreturned !== undefined) forget(value, unreturned);
  },
};

/**
 * Runs a transaction and finds effects that its handlers made but none of them returned: such effects do nothing. An
 * effect that is kept in the state and returned by a later handler counts as returned. An effect that was made before
 * the transaction, such as a constant of the module, is not watched.
 *
 * @returns What `run` resolves to, and a warning for each such effect.
 */
export async function watchEffects<T>(
  run: () => Promise<T>,
): Promise<{ readonly result: T; readonly warnings: Warning[] }> {
  const unreturned: Unreturned = new Map();
  const { AsyncLocalStorage: Storage } = await import("node:async_hooks");
  storage ??= new Storage();
  watched++;
  effectWatch.current = WATCH;
  try {
    const result = await storage.run(unreturned, run);
    return { result, warnings: [...unreturned].map(([effect, place]) => notReturned(effect, placeOf(place.stack))) };
  } finally {
    watched--;
    if (watched === 0) {
      effectWatch.current = undefined;
      if (!stopsSoon) setImmediate(stopStorage).unref();
      stopsSoon = true;
    }
  }
}

/**
 * Releases the storage. On Node 20 and 22 a storage that was used has a hook on each promise of the process. Setting
 * and removing the hook takes longer than a transaction. So the hook stays while transactions follow each other, and is
 * removed from a server after debugging.
 */
function stopStorage(): void {
  stopsSoon = false;
  if (watched === 0) storage?.disable();
}

function placeInCode(): Place {
  const place: Place = {};
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = PLACE_FRAMES;
  Error.captureStackTrace(place, WATCH.made);
  Error.stackTraceLimit = limit;
  return place;
}

function forget(value: unknown, unreturned: Unreturned): void {
  if (Array.isArray(value)) for (const item of value) forget(item, unreturned);
  else if (typeof value === "object" && value !== null) unreturned.delete(value);
}

function notReturned(effect: object, place: string): Warning {
  return {
    code: "effect_not_returned",
    phase: undefined,
    header: undefined,
    rule: `an effect counts only if a handler returns it: the result of ${effectData(effect)?.kind}() was not returned${place}`,
    wayOut: "return it, or make it only when it is returned",
  };
}

/** Returns the first place outside this package's folder; empty if the stack does not name one. */
function placeOf(stack = ""): string {
  const frames = stack.split("\n").slice(1);
  const own = frames.findIndex((frame) => !/[\\/]processor[\\/]effects?\.[jt]s|unreturned-effects\.[jt]s/.test(frame));
  const [, place] = /(?:^|[\s(])([^\s()]+:\d+):\d+\)?$/.exec(frames[own] ?? "") ?? [];
  return place === undefined ? "" : ` (${place})`;
}
