import fc, { type Parameters } from "fast-check";

/** A fixed seed, so a failure appears on every machine. A slow machine tries fewer cases instead of failing. */
export function bounded(numRuns: number): Parameters<unknown> {
  return { seed: 20_261_001, numRuns, interruptAfterTimeLimit: 3_000 };
}

export { fc };
