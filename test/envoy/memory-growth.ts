import { setTimeout as delay } from "node:timers/promises";
import type { ServedProcessor } from "./served-processor.ts";

const MIB = 1 << 20;

/** Arguments of Node: garbage, which it may leave lying about by the hundred MiB, is not taken for memory in use. */
export const COLLECTING: readonly string[] = [
  "--expose-gc",
  "--import",
  "data:text/javascript,setInterval(gc, 50).unref()",
];

/** How much more a server had of each kind of memory, at its highest. */
export interface Growth {
  readonly residentMiB: number;
  readonly externalMiB: number;
  readonly heapMiB: number;
}

const SAMPLES: Readonly<Record<keyof Growth, string>> = {
  residentMiB: "process_resident_memory_bytes",
  externalMiB: "nodejs_external_memory_bytes",
  heapMiB: "nodejs_heap_size_used_bytes",
};

/** Watches the server's memory while `work` runs: the highest values above those at the start. */
export async function growthDuring(served: ServedProcessor, work: Promise<unknown>): Promise<Growth> {
  const names = Object.keys(SAMPLES) as (keyof Growth)[];
  const read = () => Promise.all(names.map(async (name) => (await served.metric(SAMPLES[name])) / MIB));
  const start = await read();
  let peak = start;
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  while (!isDone) {
    const now = await read();
    peak = peak.map((value, index) => Math.max(value, now[index] ?? 0));
    await Promise.race([delay(20), done]);
  }
  const grown = names.map((name, index) => [name, Math.round((peak[index] ?? 0) - (start[index] ?? 0))] as const);
  return Object.fromEntries(grown) as unknown as Growth;
}
