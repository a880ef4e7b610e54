/**
 * Whole bodies in the thread pool at the same time: as many as it has threads. Each has native memory, up to 18 MiB for
 * brotli. The others wait in the order in which they came.
 */
const MAX_AT_WORK = 4;

const waiting: (() => void)[] = [];
let atWork = 0;

/** Runs work on a whole body as soon as a slot is free, in the order of the calls. */
export async function inSlot<T>(work: () => Promise<T>): Promise<T> {
  if (atWork === MAX_AT_WORK) await new Promise<void>((resolve) => waiting.push(resolve));
  else atWork++;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    // The next work takes over the slot.
    if (next) next();
    else atWork--;
  }
}

/**
 * A step that has waited longer is rejected when its turn comes. Envoy waits 200 ms for an answer by default. If a client
 * floods the server with costly bodies, it gets 503 for them, and not every body that came later gets a timeout.
 */
const LONGEST_WAIT_MS = 100;
/** The same for a decoder with a large window, which needs 35 ms more before its handler sees a byte. */
const LONGEST_LARGE_WAIT_MS = 60;

/** A step of a brotli decoder that waits for its turn. */
interface WaitingStep {
  readonly begin: () => void;
  readonly refuse: () => void;
  /** Later than this it is rejected. */
  readonly latestMs: number;
}

/** A longer rest between two steps would not help: a step takes about 35 ms. */
const LONGEST_REST_MS = 50;

const steps: WaitingStep[] = [];
let isStepping = false;
let stepBeganMs = 0;

/**
 * Begins a step of a brotli decoder when no other decoder still produces its first output. Brotli fills its whole window
 * before it produces output, whatever its limit: 26 bytes can cost 35 ms, and without turns all threads of the pool.
 * Calls `refuse` instead if the step had to wait for over 100 ms, or for over 60 ms with a large window.
 */
export function inTurn(begin: () => void, refuse: () => void, isLarge = false): void {
  if (isStepping) {
    steps.push({ begin, refuse, latestMs: performance.now() + (isLarge ? LONGEST_LARGE_WAIT_MS : LONGEST_WAIT_MS) });
    return;
  }
  beginStep(begin);
}

/**
 * Ends the turn of the step that began last.
 *
 * @param rests The next step begins after as long as this one took, up to 50 ms. So a flood of bodies with large windows takes
 * half the time of one processor at most, and leaves the rest for other transactions.
 */
export function endTurn(rests = false): void {
  if (!rests) nextStep();
  else setTimeout(nextStep, Math.min(performance.now() - stepBeganMs, LONGEST_REST_MS));
}

function nextStep(): void {
  const nowMs = performance.now();
  for (let next = steps.shift(); next !== undefined; next = steps.shift()) {
    if (nowMs <= next.latestMs) {
      beginStep(next.begin);
      return;
    }
    next.refuse();
  }
  isStepping = false;
}

function beginStep(begin: () => void): void {
  isStepping = true;
  stepBeganMs = performance.now();
  begin();
}

/**
 * Bytes that may be coded in the calling thread in one turn of the event loop, of all bodies: about 10 ms. One small body
 * costs less than a millisecond, but a turn may bring hundreds.
 */
const TURN_BYTES = 4 << 20;
/** The fixed cost of a call, in bytes. */
const CALL_BYTES = 16 << 10;

let usedBytes = 0;

/** True if more bytes may be coded in this turn. */
export function mayCodeNow(): boolean {
  return usedBytes < TURN_BYTES;
}

/** Counts bytes that were coded, or tried without success, in the calling thread. */
export function codedNow(bytes: number): void {
  if (usedBytes === 0) {
    setImmediate(() => {
      usedBytes = 0;
    });
  }
  usedBytes += CALL_BYTES + bytes;
}
