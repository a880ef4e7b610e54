/**
 * Whole bodies in the thread pool at the same time: as many as it has threads. Each has native memory, up to 18 MiB for
 * brotli. The others wait in the order in which they came.
 */
const MAX_AT_WORK = 4;

const waiting: (() => void)[] = [];
let atWork = 0;

/** Does work on a whole body as soon as there is room for it, first come, first served. */
export async function inSlot<T>(work: () => Promise<T>): Promise<T> {
  if (atWork === MAX_AT_WORK) await new Promise<void>((resolve) => waiting.push(resolve));
  else atWork++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    // The slot goes to the next one as it is.
    if (next) next();
    else atWork--;
  }
}
