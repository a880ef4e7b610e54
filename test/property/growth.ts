/** Work on an input of some size: the returned function is timed, and the preparation is not. */
export type SizedWork = (size: number) => () => void;

/** Shortest time that is compared, in microseconds: below it the clock and a compiler decide. */
const MIN_MICROS = 1_000;
/** The compared inputs differ by this factor, that is by three doublings. */
const FACTOR = 8;
/** Linear work takes 8 times as long for an input 8 times as long, quadratic work 64 times. */
const MAX_GROWTH = 24;
const NEXT_FACTOR = 4;
/** Linear work takes 4 times as long for an input 4 times as long, quadratic work 16 times. */
const MAX_NEXT_GROWTH = 8;
const ROUNDS = 5;
const ATTEMPTS = 2;

/**
 * How much longer work takes for an input 8 times as long, in CPU time of this process. 0 for work that takes less than a
 * millisecond at every size up to `maxSize`.
 */
export function growthOf(work: SizedWork, maxSize: number): number {
  // Most work is quick at any size.
  if (cpuMicros(work(maxSize), 1) < MIN_MICROS) return 0;
  for (let size = 64; size <= maxSize; size *= 2) {
    const run = work(size);
    if (cpuMicros(run, 1) < MIN_MICROS) continue;
    const micros = cpuMicros(run, ROUNDS);
    if (micros >= MIN_MICROS) return growthFrom(work, size, micros);
  }
  return 0;
}

/**
 * Work that makes many objects slows down once, when they outgrow the young part of the heap. Work that grows with the
 * square of its input keeps slowing down. So two more doublings must confirm a large growth.
 */
function growthFrom(work: SizedWork, size: number, micros: number): number {
  const longer = cpuMicros(work(size * FACTOR), ROUNDS);
  const growth = longer / micros;
  if (growth <= MAX_GROWTH) return growth;
  const next = cpuMicros(work(size * FACTOR * NEXT_FACTOR), ROUNDS) / longer;
  return next > MAX_NEXT_GROWTH ? growth : next;
}

/**
 * True if every measurement finds more than linear growth. Another process can disturb one measurement, but not all.
 */
export function isSuperLinear(work: SizedWork, maxSize = 1 << 16): boolean {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) if (growthOf(work, maxSize) <= MAX_GROWTH) return false;
  return true;
}

/** The minimum of several rounds, because other processes only add to the time. */
function cpuMicros(run: () => void, rounds: number): number {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round++) {
    const before = process.cpuUsage();
    run();
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, user + system);
    // Long work is measured once.
    if (least > 100 * MIN_MICROS) break;
  }
  return least;
}
