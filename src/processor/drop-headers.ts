import type { PhaseWork } from "./phase-work.ts";

/** Removes headers that are there, and that no handler has set in this answer. */
export function dropHeaders(work: PhaseWork, names: readonly string[]): void {
  for (const name of names) {
    if (work.headerChanges.some((change) => change.name === name)) continue;
    if (work.head.has(name)) work.change({ op: "remove", name });
  }
}
