/**
 * A step that has waited longer is rejected when its turn comes. Envoy waits 200 ms for an answer by default. If a client
 * floods the server with costly bodies, it gets 503 for them, and not every body that came later gets a timeout.
 */
const LONGEST_WAIT_MS = 100;
/** The same for a decoder with a large window, which needs 35 ms more before its handler sees a byte. */
const LONGEST_LARGE_WAIT_MS = 60;
/** After a step with a large window the next such step waits for this many times as long as the step took. */
const REST_FACTOR = 3;
/** A longer rest would not help: a step takes about 35 ms. */
const LONGEST_REST_MS = 150;

/** A step of a brotli decoder. */
export interface BrotliStep {
  readonly begin: () => void;
  /** Called instead of `begin` if the step had to wait for too long. */
  readonly refuse: () => void;
  /** The decoder, if its window is large: it need not wait for the rest after its own step. Default: it is not large. */
  readonly largeDecoder?: object | undefined;
}

interface WaitingStep extends BrotliStep {
  /** Later than this it is rejected. */
  readonly latestMs: number;
}

/** Lets brotli decoders begin their steps one after the other. */
export class BrotliTurns {
  /** In the order in which they came. */
  readonly #waiting: WaitingStep[] = [];
  #isStepping = false;
  /** A loop over waiting steps is running, and goes on after a step that ends at once. */
  #isLooping = false;
  #stepBeganMs = 0;
  /** No other step with a large window begins before this time. */
  #restsUntilMs = 0;
  #restsAfter: object | undefined;
  #isRestTimed = false;

  /**
   * Begins a step of a decoder when no other decoder still produces its first output. Brotli fills its whole window before
   * it produces output, whatever its limit: 26 bytes can cost 35 ms, and without turns all threads of the pool.
   * Calls `refuse` instead if the step had to wait for over 100 ms, or for over 60 ms with a large window.
   */
  begin({ begin, refuse, largeDecoder }: BrotliStep): void {
    const nowMs = performance.now();
    const latestMs = nowMs + (largeDecoder === undefined ? LONGEST_WAIT_MS : LONGEST_LARGE_WAIT_MS);
    this.#waiting.push({ begin, refuse, largeDecoder, latestMs });
    if (!this.#isStepping && !this.#isLooping) this.#next(nowMs);
  }

  /**
   * Ends the turn of the step that began last.
   *
   * @param largeDecoder The decoder if its window is large: the next such step of another decoder begins after three times as
   * long as this one took, up to 150 ms. So a flood of bodies with large windows takes a quarter of one processor at most, and
   * leaves the rest for other transactions. Steps with smaller windows do not wait for it.
   */
  end(largeDecoder?: object): void {
    const nowMs = performance.now();
    if (largeDecoder !== undefined) {
      this.#restsAfter = largeDecoder;
      this.#restsUntilMs = nowMs + Math.min(REST_FACTOR * (nowMs - this.#stepBeganMs), LONGEST_REST_MS);
    }
    this.#isStepping = false;
    if (!this.#isLooping) this.#next(nowMs);
  }

  /** Begins the first step that may begin, and refuses those that have waited for too long. */
  #next(nowMs: number): void {
    this.#isLooping = true;
    try {
      for (let index = 0; index < this.#waiting.length && !this.#isStepping; ) {
        const step = this.#waiting[index] as WaitingStep;
        if (nowMs > step.latestMs) {
          this.#waiting.splice(index, 1);
          step.refuse();
        } else if (this.#mustRest(step, nowMs)) {
          index++;
        } else {
          this.#waiting.splice(index, 1);
          this.#isStepping = true;
          this.#stepBeganMs = nowMs;
          step.begin();
        }
      }
    } finally {
      this.#isLooping = false;
    }
    if (!this.#isStepping && this.#waiting.length > 0) this.#timeRest(this.#restsUntilMs - nowMs);
  }

  #mustRest({ largeDecoder }: WaitingStep, nowMs: number): boolean {
    return largeDecoder !== undefined && largeDecoder !== this.#restsAfter && nowMs < this.#restsUntilMs;
  }

  #timeRest(ms: number): void {
    if (this.#isRestTimed) return;
    this.#isRestTimed = true;
    setTimeout(() => {
      this.#isRestTimed = false;
      if (!this.#isStepping) this.#next(performance.now());
    }, ms);
  }
}

/** All decoders of the process share the thread pool, so they share the turns. */
export const brotliTurns = new BrotliTurns();
