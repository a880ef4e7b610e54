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

/** Steps of brotli decoders that wait for their turn. */
const steps: (() => void)[] = [];
let isStepping = false;

/**
 * Begins a step of a brotli decoder once no other is at its first output. Brotli fills its whole window before it puts
 * anything out, whatever limit it is given: 26 bytes can cost 35 ms, and without turns all threads of the pool at once.
 */
export function inTurn(begin: () => void): void {
  if (isStepping) {
    steps.push(begin);
    return;
  }
  isStepping = true;
  begin();
}

/** Ends the turn of the step that began last. */
export function endTurn(): void {
  const next = steps.shift();
  if (next) next();
  else isStepping = false;
}
